//! Numbers that lie in another file than the model: inside the directory they are read, outside it nothing is opened.

use std::path::Path;
use stemmata_model::{ModelRef, Weights};
use stemmata_source::{OpenOptions, Opened, SourceError, open};

/// A protocol buffer's field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
}

/// A model with one tensor of two f32 in the file `location`, from `offset` on.
fn model(location: &str, offset: u64) -> Vec<u8> {
    let entry =
        |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
    let tensor = [
        vec![1 << 3, 2, 2 << 3, 1],
        field(8, b"w"),
        entry("location", location),
        entry("offset", &offset.to_string()),
        vec![14 << 3, 1],
    ];
    [vec![1 << 3, 8], field(7, &field(5, &tensor.concat())), field(8, &[2 << 3, 17])].concat()
}

fn open_path(path: &Path) -> Result<Opened, SourceError> {
    open(&ModelRef::Path(path.to_owned()), &OpenOptions::default())
}

#[test]
fn external_data_is_read_inside_the_directory_only() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("model");
    std::fs::create_dir_all(inside.join("data")).unwrap();
    let bytes: Vec<u8> = [0.0f32, 1.5, -2.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(inside.join("data/weights.bin"), &bytes).unwrap();
    std::fs::write(folder.path().join("secret.bin"), &bytes).unwrap();
    // Not to be taken for weights of PyTorch.
    std::fs::write(inside.join("weights.bin"), &bytes).unwrap();
    let path = inside.join("model.onnx");
    let write = |location: &str, offset| std::fs::write(&path, model(location, offset)).unwrap();

    write("data/weights.bin", 4);
    for way in [&path, &inside] {
        let opened = open_path(way).unwrap();
        let mut values = [0.0; 2];
        opened.weights.read(0, 0, &mut values).unwrap();
        assert_eq!(values, [1.5, -2.5]);
        let names: Vec<&str> = opened.checkpoint.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["model.onnx", "data/weights.bin"]);
    }
    write("data/weights.bin", 8);
    let error = open_path(&path).err().unwrap().to_string();
    assert!(error.contains("tensor `w` claims bytes 8..16, the file ends at 12"), "{error}");
    write("data/absent.bin", 0);
    assert!(matches!(open_path(&path), Err(SourceError::MissingShard { .. })));
    write("../secret.bin", 0);
    let opened = open_path(&path).unwrap();
    assert!(opened.hazards.iter().any(|hazard| hazard.code == "external-path"));
    assert!(!opened.checkpoint.tensors[0].encoding.is_decodable());
    // A link inside that leads outside.
    std::os::unix::fs::symlink("../secret.bin", inside.join("link.bin")).unwrap();
    write("link.bin", 0);
    assert!(matches!(open_path(&path), Err(SourceError::Escapes { .. })));
}

#[test]
fn what_is_not_read_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &[u8], &str); 2] = [
        ("model.h5", b"\x89HDF\r\n\x1a\n", "Convert it"),
        ("variables.index", &TABLE, "tf.train.load_checkpoint"),
    ];
    for (name, bytes, part) in cases {
        let inside = folder.path().join(name.replace('.', "-"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join(name), bytes).unwrap();
        let error = open_path(&inside).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// The smallest end of a table of LevelDB.
const TABLE: [u8; 48] = {
    let mut bytes = [0; 48];
    let magic = 0xdb47_7524_8b80_fb57u64.to_le_bytes();
    let mut at = 0;
    while at < 8 {
        bytes[40 + at] = magic[at];
        at += 1;
    }
    bytes
};
