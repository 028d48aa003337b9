//! The configuration reference, generated from the table.

use super::table::{NOT_IN_THIS_BUILD, TABLE};

/// Markdown for `docs/configuration.md`.
pub(crate) fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Defaults, then `strongroom.toml` (or `--config FILE`), then environment variables, then flags: what comes\n\
         later wins. `strongroom config check` shows the result with secrets redacted and reports everything that\n\
         is wrong at once. A name that is not listed here is an error.\n\n\
         In the file a setting `section.key` is `key` in the table `[section]`. In the environment it is\n\
         `STRONGROOM_SECTION__KEY`. Every secret can also be read from a file: put `_file` behind its name\n\
         (`_FILE` in the environment) and give the path; one line break at the end of the file is ignored.\n\
         Variables that begin with `STRONGROOM_TEST_` belong to the test suite and are not read.\n",
    );
    let mut section = None;
    for setting in TABLE {
        let (name, _) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if section != Some(name) {
            section = Some(name);
            let heading = if name.is_empty() { "general" } else { name };
            text.push_str(&format!(
                "\n## {heading}\n\n| setting | default | value | does |\n|---|---|---|---|\n"
            ));
        }
        let default = match setting.default {
            Some("") | None => "unset".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let kind = setting.kind.describe();
        let kind = kind.strip_prefix("must be ").unwrap_or(&kind);
        text.push_str(&format!(
            "| `{}` | {default} | {kind} | {} |\n",
            setting.key, setting.doc
        ));
    }
    let sections: Vec<String> = NOT_IN_THIS_BUILD
        .iter()
        .map(|section| format!("`{section}*`"))
        .collect();
    text.push_str(&format!(
        "\nNot available in this build, and refused: {}.\n",
        sections.join(", ")
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_a_row_for_every_setting() {
        let text = reference();
        for setting in TABLE {
            assert_eq!(
                text.matches(&format!("| `{}` |", setting.key)).count(),
                1,
                "{}",
                setting.key
            );
        }
    }
}
