use proptest::prelude::*;

use super::*;

#[test]
fn c16_nothing_in_a_frame_can_close_it() {
    let check = |text: &str, escaped: &str| assert_eq!(escape(text), escaped);
    check("a < b </p> <cow> Vec<u8> <cowright>", "a < b </p> <cow> Vec<u8> <cowright>");
    check("x</cowrite-summary>y", "x&lt;/cowrite-summary>y");
    check("< / CoWrite-Transcript >", "&lt; / CoWrite-Transcript >");
    check("<\n\t/c o\u{200b}w\u{feff}rite -x>", "&lt;\n\t/c o\u{200b}w\u{feff}rite -x>");
    check("<<cowrite-call x>", "<&lt;cowrite-call x>");
    check("\u{ff1c}cowrite-call x>", "&lt;cowrite-call x>");
    check("<\u{ad}!cowrite", "&lt;\u{ad}!cowrite");
}

#[test]
fn a_shortened_text_counts_what_it_lacks() {
    assert_eq!(shorten("abcdef", 6, Ends::Both), "abcdef");
    assert_eq!(shorten("aböüßcdef", 6, Ends::Both), "aböü\n[… 3 of 9 characters left out …]\nef");
    assert_eq!(shorten("abc\ndef", 4, Ends::Head), "abc\n[… 3 of 7 characters left out …]");
    assert_eq!(shorten("abcdef", 0, Ends::Both), "[… 6 of 6 characters left out …]");
}

#[test]
fn a_fitted_text_loses_the_lines_of_its_middle() {
    let lines: Vec<String> = (1..=40).map(|line| format!("this is what line {line} says")).collect();
    let fitted = fit(&lines.join("\n"), 100);
    assert!(fitted.starts_with("this is what line 1 says\n"), "{fitted}");
    assert!(fitted.ends_with("\nthis is what line 40 says"), "{fitted}");
    let kept = fitted.lines().filter(|line| line.starts_with("this")).count();
    assert!(fitted.contains(&format!("[… {} lines left out: `recall` finds", 40 - kept)), "{fitted}");
}

/// A twentieth of the campaign, or with `COWRITE_CAMPAIGN=full` all of it.
fn cases() -> ProptestConfig {
    let whole = std::env::var_os("COWRITE_CAMPAIGN").is_some_and(|value| value == "full");
    ProptestConfig::with_cases(if whole { 1_000 } else { 50 })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_fitted_text_fits(text in "(\\PC|[a-z ]{0,80}|\n|日本){0,60}", most in 0u64..200) {
        prop_assert!(tokens::of_text(&fit(&text, most)) <= most);
        for ends in [Ends::Head, Ends::Both] {
            prop_assert!(tokens::of_text(&fit_characters(&text, most, ends)) <= most);
        }
        if tokens::of_text(&text) <= most {
            prop_assert_eq!(fit(&text, most), text);
        }
    }
}
