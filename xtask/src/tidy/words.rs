//! One word per thing. The words are those of GLOSSARY.md; this is the part of it that a program can check.

use super::Finding;
use super::repo::Repo;
use super::source::line_at;

/// A word that no identifier contains, and what to say.
const BANNED: [(&str, &str); 13] = [
    ("wallet", "`account`: the book has accounts"),
    ("actor", "`principal`: who acts now"),
    ("auth_method", "`credential`"),
    ("two_fa", "`assurance`: aal1 or aal2, phishing-resistant or not"),
    ("twofa", "`assurance`: aal1 or aal2, phishing-resistant or not"),
    ("2fa", "`assurance`: aal1 or aal2, phishing-resistant or not"),
    ("is_admin", "a `role` given by a `grant`, decided by `authorize`"),
    ("blacklist", "`blocked` or `denied`, and of what"),
    ("whitelist", "`allowed`, and of what"),
    ("delete_transaction", "`reversal`: what is posted stays"),
    ("delete_entry", "`reversal`: what is posted stays"),
    ("signup", "`register`"),
    ("signin", "`login`"),
];

/// Names that are a library's: we have to say them as they are.
const FOREIGN: [&str; 1] = ["CoreClientAuthMethod"];

/// A file is a noun; these name a drawer.
const DRAWERS: [&str; 6] = ["util", "utils", "helper", "helpers", "misc", "common"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.rust() {
        for (at, name) in file.source.identifiers() {
            if FOREIGN.contains(&name) {
                continue;
            }
            let snake = format!("_{}_", snake(name));
            for (word, say) in BANNED {
                if snake.contains(&format!("_{word}_")) {
                    let advice = format!("`{name}`: say {say}");
                    findings.push(Finding::new(&file.path, line_at(&file.text, at), advice));
                }
            }
        }
        let mut parts = file.path.trim_end_matches(".rs").split('/');
        if let Some(drawer) = parts.find(|part| DRAWERS.contains(part)) {
            let advice = format!("`{drawer}` names a drawer: a file is called by the noun that it is about");
            findings.push(Finding::new(&file.path, 0, advice));
        }
    }
    findings
}

/// `TransferId` and `transfer_id` are both `transfer_id`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut after_small = false;
    for c in name.chars() {
        if c.is_uppercase() && after_small {
            snake.push('_');
        }
        after_small = c.is_lowercase() || c.is_ascii_digit();
        snake.extend(c.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(path: &str, text: &str) -> Vec<String> {
        check(&Repo::of(&[(path, text)]))
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn a_banned_word_in_an_identifier_is_found_in_every_case() {
        let found = advice(
            "a/src/a.rs",
            "struct Wallet;\nfn open_wallet() {}\nconst WALLET_MAX: u8 = 1;\nstruct MyWallet;",
        );
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(
            found[0].starts_with("a/src/a.rs:1: `Wallet`: say `account`"),
            "{found:?}"
        );
    }

    #[test]
    fn a_word_within_another_word_and_prose_are_left_alone() {
        assert_eq!(
            advice(
                "a/src/a.rs",
                "// a wallet\nfn factor(e: Extractor) -> &str { \"wallet\" }"
            ),
            [""; 0]
        );
    }

    #[test]
    fn a_file_that_is_a_drawer_is_found() {
        assert_eq!(advice("crates/app/src/utils.rs", "").len(), 1);
        assert_eq!(advice("crates/app/src/helpers/a.rs", "").len(), 1);
        assert_eq!(advice("crates/app/src/holds.rs", "").len(), 0);
    }

    #[test]
    fn names_are_split_at_capitals() {
        assert_eq!(snake("TransferId"), "transfer_id");
        assert_eq!(snake("BATCH_MAX"), "batch_max");
        assert_eq!(snake("Sha256Of"), "sha256_of");
    }
}
