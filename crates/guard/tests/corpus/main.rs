//! Detection and false alarms on public collections, as the table of `docs/security/edge.md`.
//!
//! `STRONGROOM_DETECTION_CORPUS` names a folder; without it there is nothing to measure and the test says so. In it:
//! `crs`, the source of the OWASP Core Rule Set 3.3 (rules and regression tests); `payloads`, a payload per line in
//! `SQL.txt`, `XSS.txt` and `Traversal.txt`; `text`, files of sayings divided by lines of `%`. A half of everything, by
//! the hash of its text, was never looked at while the rules were made: `held`.

mod crs;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use strongroom_guard::{Detector, Paranoia, Part};

/// How much of the attacks is found at level 1 at least: of the half that rules were made with, and of the other.
const FOUND_MIN: [f64; 2] = [0.98, 0.93];
/// How much of honest text is taken for an attack at most.
const FALSE_MAX: f64 = 0.001;
/// The longest text of a transfer, in characters.
const MEMO_CHARS: usize = 140;

/// What is looked at together: values with their places.
pub(crate) type Asked = Vec<(Part, Vec<u8>)>;

/// One case of a collection.
pub(crate) struct Case {
    /// Kind of attack, or of text.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// What is asked.
    pub asked: Asked,
}

#[derive(Default, Clone, Copy)]
struct Count {
    met: u32,
    all: u32,
}

impl Count {
    fn share(self) -> f64 {
        f64::from(self.met) / f64::from(self.all.max(1))
    }
}

/// FNV-1a: the halves must be the same on every machine.
fn is_held(asked: &Asked) -> bool {
    let bytes = asked.iter().flat_map(|(_, value)| value);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 32) & 1 == 1
}

fn measure(title: &str, detector: &Detector, cases: &[Case], show: impl Fn(bool) -> bool) -> [Count; 2] {
    let mut rows: BTreeMap<&str, [Count; 2]> = BTreeMap::new();
    let mut totals = [Count::default(); 2];
    for case in cases {
        let mut inspection = detector.inspect();
        for (part, value) in &case.asked {
            inspection.look(*part, value);
        }
        let recognised = inspection.recognised();
        let half = usize::from(is_held(&case.asked));
        for count in [&mut rows.entry(&case.kind).or_default()[half], &mut totals[half]] {
            count.all += 1;
            count.met += u32::from(recognised.is_some());
        }
        // What was missed is only ever shown from the half that is for tuning.
        if half == 0 && show(recognised.is_some()) && std::env::var_os("STRONGROOM_DETECTION_SHOW").is_some()
        {
            let values: Vec<_> = case
                .asked
                .iter()
                .map(|(_, value)| String::from_utf8_lossy(value))
                .collect();
            let rules = recognised.map(|found| found.rules).unwrap_or_default();
            println!("SHOW {title} {} {} {rules:?} {values:?}", case.kind, case.name);
        }
    }
    let line = |name: &str, [tuned, held]: [Count; 2]| {
        println!(
            "| {title} | {name} | {} of {} ({:.2} %) | {} of {} ({:.2} %) |",
            tuned.met,
            tuned.all,
            tuned.share() * 100.0,
            held.met,
            held.all,
            held.share() * 100.0
        );
    };
    for (name, counts) in &rows {
        line(name, *counts);
    }
    line("together", totals);
    totals
}

fn payloads(folder: &Path) -> Vec<Case> {
    let kinds = [
        ("SQL.txt", "sql"),
        ("XSS.txt", "script"),
        ("Traversal.txt", "traversal"),
    ];
    let mut cases = Vec::new();
    for (file, kind) in kinds {
        let text = fs::read(folder.join(file)).unwrap();
        for line in text.split(|byte| *byte == b'\n').filter(|line| is_payload(line)) {
            cases.push(Case {
                kind: kind.to_owned(),
                name: file.to_owned(),
                asked: vec![(Part::Query, line.trim_ascii().to_vec())],
            });
        }
    }
    cases
}

/// The lists have words among their attacks, such as `distinct`, for those who put them together.
fn is_payload(line: &[u8]) -> bool {
    let is_word =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'_' | b'@' | b',' | b'\r');
    line.len() > 2 && !line.iter().all(is_word)
}

/// Sayings: whole, as a memo would be cut, and line by line.
fn texts(folder: &Path) -> Vec<Case> {
    // A part of the texts is enough while rules are made.
    let step = std::env::var("STRONGROOM_DETECTION_STEP")
        .ok()
        .and_then(|step| step.parse().ok())
        .unwrap_or(1);
    let mut files = Vec::new();
    walk(folder, &mut files);
    let mut cases = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let technical = [
            "computer", "linux", "debian", "knghtbrd", "perl", "paradox", "ascii",
        ];
        let name = file.strip_prefix(folder).unwrap().display().to_string();
        let kind = if technical.iter().any(|word| name.contains(word)) {
            "of programmers"
        } else {
            "of everybody"
        };
        let sayings = text.split("\n%\n").filter(|saying| saying.len() > 2);
        for saying in sayings.step_by(step) {
            let memo: String = saying.split_whitespace().collect::<Vec<_>>().join(" ");
            let memo: String = memo.chars().take(MEMO_CHARS).collect();
            // As somebody would look for it: in queries rules count that do not in bodies.
            for (kind, part, value) in [
                (format!("memos {kind}"), Part::Body, memo.clone()),
                (format!("memos in queries {kind}"), Part::Query, memo),
                (format!("texts {kind}"), Part::Body, saying.to_owned()),
            ] {
                cases.push(Case {
                    kind,
                    name: name.clone(),
                    asked: vec![(part, value.into_bytes())],
                });
            }
        }
    }
    cases
}

pub(crate) fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

#[test]
fn most_attacks_are_found_and_hardly_a_memo_is_taken_for_one() {
    let Some(folder) = std::env::var_os("STRONGROOM_DETECTION_CORPUS").map(PathBuf::from) else {
        println!("nothing measured: STRONGROOM_DETECTION_CORPUS names no folder of collections");
        return;
    };
    let (attacks, honest) = crs::read(&folder.join("crs"));
    let mut payloads = payloads(&folder.join("payloads"));
    payloads.retain(|case| !case.asked.is_empty());
    let texts = texts(&folder.join("text"));
    assert!(
        attacks.len() > 500 && texts.len() > 1000,
        "the collections are not there"
    );
    for (level, paranoia) in [(1, Paranoia::One), (2, Paranoia::Two), (3, Paranoia::Three)] {
        let detector = Detector::new(paranoia).unwrap();
        let first = level == 1;
        let found = measure(&format!("{level}: CRS attacks"), &detector, &attacks, |met| {
            first && !met
        });
        let other = measure(&format!("{level}: payloads"), &detector, &payloads, |met| {
            first && !met
        });
        measure(&format!("{level}: CRS honest"), &detector, &honest, |met| {
            first && met
        });
        measure(&format!("{level}: text"), &detector, &texts, |met| first && met);
        let memos: Vec<_> = texts
            .iter()
            .filter(|case| case.kind == "memos of everybody")
            .collect();
        if first {
            let false_alarms = memos.iter().filter(|case| {
                let mut inspection = detector.inspect();
                case.asked
                    .iter()
                    .for_each(|(part, value)| inspection.look(*part, value));
                inspection.recognised().is_some()
            });
            let share = false_alarms.count() as f64 / memos.len() as f64;
            assert!(
                share <= FALSE_MAX,
                "{share} of honest memos are taken for attacks"
            );
            for (half, min) in [found, other]
                .iter()
                .flat_map(|halves| halves.iter().zip(FOUND_MIN))
            {
                assert!(half.share() >= min, "{} of attacks are found", half.share());
            }
        }
    }
}
