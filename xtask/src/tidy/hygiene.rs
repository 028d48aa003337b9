//! Nothing in the tree that is not the project: no paths of a machine, no registries, no keys, no stubs, no lumps.
//!
//! What is looked for is put together from pieces, so that this file does not contain it.

use super::Finding;
use super::repo::{Repo, Text};
use super::source::{line_at, places, words};

/// Folders of somebody's machine.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/", "work/"),
    concat!("/", "root/"),
    concat!("/", "home/"),
    concat!("/", "Users/"),
    concat!("C:", "\\Users"),
];

/// Hosts that serve packages; the lock file names the one that is used.
const REGISTRIES: [&str; 6] = [
    concat!("crates", ".io"),
    concat!("registry.", "npmjs"),
    concat!("pypi", ".org"),
    concat!("files.python", "hosted"),
    concat!("proxy.", "golang"),
    concat!("registry.", "yarnpkg"),
];

/// Macros that stand for work not done, or for a look that was forgotten.
const STUBS: [&str; 3] = ["todo", "unimplemented", "dbg"];
/// Words of comments that stand for the same.
const OPEN_ENDS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// The largest file, in bytes, unless it is generated.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Generated files that grow with the project.
const MAY_BE_LARGE: [&str; 2] = ["openapi.json", "Cargo.lock"];
/// From so many characters on, what follows a PEM header is a key and not an example of the header.
const PEM_BODY_CHARS_MIN: usize = 32;

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, size) in &repo.sizes {
        if *size > FILE_BYTES_MAX && !MAY_BE_LARGE.contains(&path.as_str()) {
            findings.push(Finding::new(
                path,
                0,
                format!("{size} bytes, at most {FILE_BYTES_MAX}"),
            ));
        }
    }
    for file in repo.texts.iter().filter(|file| file.path != "Cargo.lock") {
        findings.extend(machine_paths(file));
        findings.extend(registries(file));
        findings.extend(pem_blocks(file));
        if file.is_rust() {
            findings.extend(stubs(file));
        }
    }
    findings
}

fn machine_paths(file: &Text) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in MACHINE_PATHS {
        for at in places(&file.text, path) {
            // After a letter it is the middle of an address or of another path.
            let before = file.text[..at].chars().next_back();
            let begins = !before
                .is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | ')' | '*' | '/'));
            if begins {
                let advice = format!("`{path}` is a place on somebody's machine");
                findings.push(Finding::new(&file.path, line_at(&file.text, at), advice));
            }
        }
    }
    findings
}

fn registries(file: &Text) -> Vec<Finding> {
    let found = REGISTRIES
        .iter()
        .flat_map(|host| places(&file.text, host).map(move |at| (at, host)));
    let finding = |(at, host)| {
        Finding::new(
            &file.path,
            line_at(&file.text, at),
            format!("`{host}` serves packages: only Cargo.lock names it"),
        )
    };
    found.map(finding).collect()
}

/// A PEM header with a body: a key or a certificate, whichever way its lines are broken.
fn pem_blocks(file: &Text) -> Vec<Finding> {
    let header = concat!("-----", "BEGIN ");
    let mut findings = Vec::new();
    for at in places(&file.text, header) {
        let label = &file.text[at + header.len()..];
        let Some(end) = label.find("-----").filter(|end| !label[..*end].contains('\n')) else {
            continue;
        };
        let body = label[end..]
            .trim_start_matches('-')
            .replace("\\n", "")
            .replace(['\\', '"'], "");
        let body = body.trim_start();
        let body = body
            .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')))
            .next();
        if body.is_some_and(|body| body.len() >= PEM_BODY_CHARS_MIN) {
            let advice = "a PEM block: keys and certificates are made when they are needed, never kept here";
            findings.push(Finding::new(&file.path, line_at(&file.text, at), advice));
        }
    }
    findings
}

fn stubs(file: &Text) -> Vec<Finding> {
    let mut findings = Vec::new();
    let code = &file.source.code;
    for (at, name) in file.source.identifiers() {
        if STUBS.contains(&name) && code[at + name.len()..].starts_with('!') {
            let advice = format!("`{name}!`: finish it, or leave it out");
            findings.push(Finding::new(&file.path, line_at(&file.text, at), advice));
        }
        if name == "ignore" && code[..at].trim_end().ends_with("#[") {
            let advice = "a test that is ignored holds nothing: make it pass, or leave it out";
            findings.push(Finding::new(&file.path, line_at(&file.text, at), advice));
        }
    }
    for (at, word) in words(&file.source.comments) {
        if OPEN_ENDS.contains(&word) {
            let advice = format!(
                "`{word}`: finish it, or say in a sentence what is missing and why that is right today"
            );
            findings.push(Finding::new(&file.path, line_at(&file.text, at), advice));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Repo::of(&[(path, text)]))
            .iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_path_of_a_machine_is_found_in_any_file() {
        for path in MACHINE_PATHS {
            assert_eq!(lines("README.md", &format!("a\nsee `{path}x`")), [2], "{path}");
        }
    }

    #[test]
    fn the_middle_of_an_address_is_no_path_of_a_machine() {
        assert_eq!(
            lines(
                "README.md",
                &format!("https://example.com{}x and $HOME", MACHINE_PATHS[2])
            ),
            [0; 0]
        );
    }

    #[test]
    fn a_registry_is_found_outside_of_the_lock_file() {
        for host in REGISTRIES {
            assert_eq!(lines("docs/a.md", &format!("https://{host}/x")), [1], "{host}");
            assert_eq!(lines("Cargo.lock", &format!("https://{host}/x")), [0; 0]);
        }
    }

    #[test]
    fn a_key_is_found_however_its_lines_are_broken() {
        let body = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v".repeat(2);
        let header = concat!("-----", "BEGIN PRIVATE KEY-----");
        assert_eq!(lines("a.pem", &format!("{header}\n{body}\n")), [1]);
        assert_eq!(lines("a.rs", &format!("let a =\n  \"{header}\\n{body}\";")), [2]);
        assert_eq!(lines("a.rs", &format!("text.starts_with(\"{header}\")")), [0; 0]);
    }

    #[test]
    fn a_stub_is_found_in_code_and_not_in_prose() {
        for stub in STUBS {
            assert_eq!(lines("a.rs", &format!("fn a() {{\n {stub}!() }}")), [2], "{stub}");
            assert_eq!(
                lines(
                    "a.rs",
                    &format!("// {stub}!() is refused\nlet a = \"{stub}!()\";")
                ),
                [0; 0],
                "{stub}"
            );
        }
    }

    #[test]
    fn an_open_end_or_an_ignored_test_is_found() {
        assert_eq!(lines("a.rs", &format!("// {}: later", OPEN_ENDS[0])), [1]);
        assert_eq!(lines("a.rs", &format!("/* {} */", OPEN_ENDS[1])), [1]);
        assert_eq!(lines("a.rs", "#[test]\n#[ignore]\nfn a() {}"), [2]);
        assert_eq!(lines("a.rs", "#[ignore = \"slow\"]\nfn a() {}"), [1]);
    }

    #[test]
    fn a_lump_is_found_unless_it_is_generated() {
        let lump = "x\n".repeat(200 * 1024);
        assert_eq!(lines("data.csv", &lump), [0]);
        assert_eq!(lines("openapi.json", &lump), [0; 0]);
    }
}
