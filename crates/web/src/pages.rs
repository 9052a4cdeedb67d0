//! How do the pages look? Text from people and endpoints is escaped and stays text.

use crate::battle::{Battle, State};
use crate::config::{Config, Medium};
use crate::store::{Checked, Receipt};
use stemmata_report::escaped as esc;

/// The script of the page; everything works without it, only not in step.
pub(crate) const SCRIPT: &str = include_str!("page.js");
/// Two sides, nothing else.
pub(crate) const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\">\
     <path fill=\"#0b62a0\" d=\"M1 2h6v12H1z\"/><path fill=\"#b34700\" d=\"M9 2h6v12H9z\"/></svg>";
/// What a voter may say about why.
pub(crate) const REASONS: [(&str, &str); 6] = [
    ("correct", "Correct"),
    ("complete", "Complete"),
    ("clear", "Clear"),
    ("follows-instructions", "Does what was asked"),
    ("creative", "Creative"),
    ("other-wrong", "The other one is wrong"),
];
const CHOICES: [(&str, &str); 4] =
    [("a", "A is better"), ("tie", "Equally good"), ("bad", "Both are bad"), ("b", "B is better")];

/// The style sheet: that of all pages of results, and what only this page has.
pub(crate) fn style() -> String {
    format!("{}\n{}", stemmata_report::STYLE_SHEET, include_str!("style.css"))
}

/// The frame of every page. `head` and `body` are markup.
pub(crate) fn page(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} – stemmata</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n<link rel=\"icon\" href=\"/icon.svg\">\n<script src=\"/page.js\" defer></script>\n\
         {head}</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
         <header><nav aria-label=\"Pages\"><a href=\"/\">Ask</a> <a href=\"/standings\">Standings</a></nav></header>\n\
         <main id=\"main\">\n{body}</main>\n\
         <footer><p>Who answers is drawn by chance and shown only after the vote. No address is kept; a cookie tells your votes from \
         those of others.</p></footer>\n</body>\n</html>\n",
        esc(title)
    )
}

/// A page that says one thing.
pub(crate) fn message(heading: &str, text: &str) -> String {
    let body = format!(
        "<h1>{}</h1>\n<p class=\"lead\">{}</p>\n<p><a class=\"button\" href=\"/\">Ask something</a></p>\n",
        esc(heading),
        esc(text)
    );
    page(heading, "", &body)
}

/// Where a question is asked.
pub(crate) fn home(config: &Config, token: &str) -> String {
    let mut forms = String::new();
    if config.is_open() {
        forms.push_str(&format!(
            "<form method=\"post\" action=\"/ask\" class=\"ask\">\n{}<label for=\"prompt\">Your question</label>\n\
             <textarea id=\"prompt\" name=\"prompt\" rows=\"5\" maxlength=\"{}\" required></textarea>\n\
             <button class=\"button\">Ask two at once</button>\n</form>\n",
            hidden("token", token),
            config.limits.prompt_characters
        ));
    }
    for medium in Medium::ALL {
        let options: String = config
            .prompts
            .iter()
            .filter(|prompt| prompt.medium == medium)
            .map(|prompt| {
                let text: String = prompt.text.split_whitespace().collect::<Vec<_>>().join(" ");
                let short: String = text.chars().take(120).collect();
                let more = if short.len() < text.len() { "…" } else { "" };
                format!("<option value=\"{}\">{}{more}</option>\n", esc(&prompt.id), esc(&short))
            })
            .collect();
        if options.is_empty() {
            continue;
        }
        let (label, name) = match medium {
            Medium::Text => ("A question from the list", "text"),
            Medium::Image => ("A picture from the list", "image"),
            Medium::Video => ("A film from the list", "video"),
        };
        forms.push_str(&format!(
            "<form method=\"post\" action=\"/ask\" class=\"ask\">\n{}<label for=\"list-{name}\">{label}</label>\n\
             <select id=\"list-{name}\" name=\"id\">\n{options}</select>\n<button class=\"button\">Show two</button>\n</form>\n",
            hidden("token", token)
        ));
    }
    let body = format!(
        "<h1>{}</h1>\n<p class=\"lead\">Two contestants answer. You see both without their names, choose, and learn the names then.</p>\n\
         {forms}",
        esc(&config.title)
    );
    page(&config.title, "", &body)
}

fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", esc(value))
}

fn question(prompt: &str) -> String {
    format!("<p class=\"question\" dir=\"auto\">{}</p>\n", esc(prompt))
}

fn sides(battle: &Battle, headings: [String; 2]) -> String {
    let id = &battle.draw.battle;
    let side = |place: usize| {
        let letter = ["a", "b"][place];
        let shown = match (battle.state, battle.medium) {
            (State::Ready, Medium::Text) => esc(&battle.answers[place]).into_owned(),
            (State::Ready, Medium::Image) => {
                format!(
                    "<img src=\"/battle/{id}/{letter}\" alt=\"The picture on side {}\">",
                    letter.to_uppercase()
                )
            }
            (State::Ready, Medium::Video) => {
                format!(
                    "<video src=\"/battle/{id}/{letter}\" aria-label=\"The film on side {}\" controls loop muted playsinline \
                     preload=\"auto\"></video>",
                    letter.to_uppercase()
                )
            }
            _ => String::new(),
        };
        format!(
            "<article class=\"card side\" aria-labelledby=\"head-{letter}\">\n<h2 id=\"head-{letter}\">{}</h2>\n\
             <div class=\"answer\" dir=\"auto\" id=\"answer-{letter}\">{shown}</div>\n</article>\n",
            headings[place]
        )
    };
    format!("<div class=\"sides\">\n{}{}</div>\n", side(0), side(1))
}

/// A battle before the vote.
pub(crate) fn battle(battle: &Battle, token: &str) -> String {
    let waiting = battle.state == State::Asked;
    let id = &battle.draw.battle;
    let status = if waiting {
        "Both answers are being made. They appear together when both are complete."
    } else {
        "Both answers are complete."
    };
    let reasons: String = REASONS
        .iter()
        .map(|(name, label)| {
            format!("<label><input type=\"checkbox\" name=\"reason\" value=\"{name}\"> {label}</label>\n")
        })
        .collect();
    let choices: String = CHOICES
        .iter()
        .map(|(value, label)| {
            format!("<button class=\"button\" name=\"choice\" value=\"{value}\">{label}</button>\n")
        })
        .collect();
    let body = format!(
        "<div class=\"battle\"{}>\n<h1>Which answer is better?</h1>\n{}<p id=\"status\" role=\"status\">{status}</p>\n{}\
         <form method=\"post\" action=\"/battle/{id}/vote\" id=\"vote\"{}>\n{}\
         <fieldset class=\"reasons\"><legend>Why, if you like to say</legend>\n{reasons}\
         </fieldset>\n<fieldset class=\"choices\"><legend>Your vote</legend>\n{choices}</fieldset>\n</form>\n\
         <p class=\"small soft\">Sealed draw: <span class=\"digest\">{}</span><br>This fixes who answers on which side. It is opened after \
         your vote, so that you can check that it was not changed.</p>\n</div>\n",
        if waiting {
            format!(" data-events=\"/battle/{id}/events\" data-medium=\"{}\"", battle.medium.name())
        } else {
            String::new()
        },
        question(&battle.prompt),
        sides(battle, ["Answer A".to_owned(), "Answer B".to_owned()]),
        if waiting { " hidden" } else { "" },
        hidden("token", token),
        battle.draw.commitment()
    );
    // Without the script the page asks again until the answers are there.
    let head =
        if waiting { "<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>\n" } else { "" };
    page("Which answer is better?", head, &body)
}

/// A battle that came to nothing.
pub(crate) fn void(config: &Config, battle: &Battle, token: &str) -> String {
    let listed = config.prompts.iter().find(|p| p.text == battle.prompt && p.medium == battle.medium);
    let again = match listed {
        Some(prompt) => hidden("id", &prompt.id),
        None => hidden("prompt", &battle.prompt),
    };
    let body = format!(
        "<h1>No two answers</h1>\n{}<p class=\"lead\">One of the answers could not be completed, so neither is shown, and the draw is \
         void.</p>\n<form method=\"post\" action=\"/ask\">\n{}{again}<button class=\"button\">Draw again</button>\n</form>\n",
        question(&battle.prompt),
        hidden("token", token),
    );
    page("No two answers", "", &body)
}

/// A battle after the vote.
pub(crate) fn opened(battle: &Battle, receipt: &Receipt, checked: Checked) -> String {
    let draw = &battle.draw;
    let is_check = !draw.gold.is_empty();
    let name = |model: &str, side: &str| match is_check {
        true if draw.gold == side => "the better one".to_owned(),
        true => "the worse one".to_owned(),
        false => model.to_owned(),
    };
    let names = [name(&draw.model_a, "model_a"), name(&draw.model_b, "model_b")];
    let said = match receipt.winner.as_str() {
        "model_a" => "You voted: A is better.",
        "model_b" => "You voted: B is better.",
        "tie" => "You voted: equally good.",
        _ => "You voted: both are bad.",
    };
    let mut notes = String::new();
    if is_check {
        notes.push_str(&format!(
            "<p>This was a check: it was known beforehand which answer is better. It enters no rating. Of {} checks you missed {}.</p>\n",
            checked.seen, checked.missed
        ));
    }
    if battle.masked.contains(&true) {
        notes.push_str(
            "<p>Bars stand for words that name a model or its maker. The vote is marked accordingly.</p>\n",
        );
    }
    let opening = draw.opening();
    let heading = |letter: &str, name: &str| format!("{letter}: {}", esc(name));
    let body = format!(
        "<h1>{} <span class=\"soft\">and</span> {}</h1>\n<p class=\"lead\">{said}</p>\n{notes}\
         <p><a class=\"button\" href=\"/\">Ask again</a></p>\n{}{}\
         <section aria-labelledby=\"seal\">\n<h2 id=\"seal\">The draw, opened</h2>\n<dl class=\"facts\">\
         <dt>vote</dt><dd>number {}</dd>\
         <dt>receipt</dt><dd><span class=\"digest\">{}</span></dd>\
         <dt>sealed draw</dt><dd><span class=\"digest\">{}</span></dd></dl>\n\
         <p>The seal is the SHA-256 of this text, which nobody could guess before because of its nonce:</p>\n\
         <pre class=\"command\" tabindex=\"0\">printf '%s' '{}' | sha256sum</pre>\n\
         <p>The receipt is the hash of your vote. It is in the published votes; each vote there holds the hash of the one before.</p>\n\
         </section>\n",
        esc(&names[0]),
        esc(&names[1]),
        question(&battle.prompt),
        sides(battle, [heading("A", &names[0]), heading("B", &names[1])]),
        receipt.seq,
        receipt.hash,
        draw.commitment(),
        esc(&opening.replace('\'', "'\\''")),
    );
    page("The names", "", &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Draw;

    const HOSTILE: &str = "<script>alert('1')</script>\"&\u{202e}</textarea>";

    fn hostile(state: State) -> Battle {
        Battle {
            draw: Draw::new(HOSTILE, HOSTILE, "", HOSTILE).unwrap(),
            voter: HOSTILE.to_owned(),
            created: 0,
            medium: Medium::Text,
            prompt: HOSTILE.to_owned(),
            state,
            ready: 0,
            answers: [HOSTILE.to_owned(), HOSTILE.to_owned()],
            masked: [true; 2],
        }
    }

    #[test]
    fn text_of_others_stays_text() {
        let receipt = Receipt { seq: 1, hash: "h".to_owned(), winner: "tie".to_owned() };
        for shown in [
            battle(&hostile(State::Ready), "t"),
            opened(&hostile(State::Ready), &receipt, Checked::default()),
            message(HOSTILE, HOSTILE),
        ] {
            assert!(!shown.contains("<script>"), "{shown}");
            assert!(!shown.contains("</textarea>"));
            assert!(shown.contains("&lt;script&gt;"));
            assert_eq!(shown.matches("<script").count(), 1, "only the script of the page");
        }
    }

    #[test]
    fn nothing_is_inline() {
        let shown = battle(&hostile(State::Asked), "t");
        for inline in [" style=", "<style", "onclick", "javascript:"] {
            assert!(!shown.contains(inline), "{inline}");
        }
    }
}
