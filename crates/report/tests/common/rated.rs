//! Ratings of made-up votes.

use stemmata_audit::{
    PartBy, RateSettings, Rated, RatingOptions, VoteBytes, VoteInput, VotePart, Wanted, rate,
};

/// Four contestants on one scale, one undefeated and a pair that met nobody else; with hostile and wide names.
pub fn rated() -> Rated {
    let text = "model_a,model_b,winner,count,user\n\
        north,south,model_a,160,u1\nnorth,south,model_b,70,u2\nnorth,south,tie,30,u3\n\
        south,<b>east</b>,model_a,90,u1\nsouth,<b>east</b>,tie (bothbad),30,u4\n<b>east</b>,south,model_a,44,u5\n\
        <b>east</b>,西,model_a,60,u2\n西,<b>east</b>,model_a,51,u6\nnorth,西,both_bad,12,u3\n西,north,model_b,33,u4\n\
        top,north,model_a,5,u1\none,two,model_a,9,u7\ntwo,one,model_a,7,u8\ndeux,one,model_a,1,u8\ndeux,two,tie,1,u8\n";
    let mut settings = RateSettings {
        wanted: Wanted {
            clusters: vec!["user".to_owned()],
            part: Some(VotePart { column: "user".to_owned(), by: PartBy::Value }),
            ..Wanted::default()
        },
        clones: vec![vec!["two".to_owned(), "deux".to_owned()]],
        legacy_elo: 10,
        options: RatingOptions::default(),
    };
    settings.options.anchor = Some(("south".to_owned(), 1100.0));
    settings.options.position = true;
    settings.options.bootstrap = 20;
    settings.options.sequential = true;
    settings.options.top = 2;
    settings.options.next_pairs = 2;
    of(text, &settings)
}

/// Nobody can be rated.
pub fn unrated() -> Rated {
    of("left,right,winner\n=cmd(),b,left\nb,c,left\n", &RateSettings::default())
}

fn of(text: &str, settings: &RateSettings) -> Rated {
    let input =
        VoteInput { name: "votes.csv".to_owned(), bytes: VoteBytes::Stream(Box::new(text.as_bytes())) };
    rate(vec![input], settings).unwrap()
}
