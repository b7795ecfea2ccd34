use super::*;

/// The commands, a line each; `?` for a word that nobody knows, `*` for names of files; what is not plain or not whole is said at the end.
fn said(script: &str) -> String {
    let read = read(script, &mut Effort::default());
    let mut lines: Vec<String> = read
        .commands
        .iter()
        .map(|words| {
            let words = words.iter().map(|word| match word {
                Word::Literal(text) => format!("{text:?}").trim_matches('"').to_owned(),
                Word::Names => "*".to_owned(),
                Word::Unknown => "?".to_owned(),
            });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    if read.beyond {
        lines.push("(beyond)".into());
    }
    if !read.whole {
        lines.push("(not all)".into());
    } else if !read.plain {
        lines.push("(special)".into());
    }
    lines.join(", ")
}

#[test]
fn scripts_are_taken_apart() {
    let table = [
        ("ls -l", "ls -l"),
        ("ls; git status && cat x || pwd\nid", "ls, git status, cat x, pwd, id"),
        ("ls | wc -l 2>&1 >/dev/null", "ls, wc -l"),
        ("! ls", "ls"),
        ("(ls; id)", "ls, id"),
        ("{ ls; }", "ls"),
        ("ls # rm x\nid", "ls, id"),
        ("g'i't \"pu\"sh o\\rigin", "git push origin"),
        ("grep '^a$' \"b c\"", "grep ^a$ b c"),
        ("ls *.rs src/?", "ls * *"),
        ("find . -name '*.rs' -exec rm {} \\;", "find . -name *.rs -exec rm {} ;"),
        ("git stash pop stash@{0}", "git stash pop stash@{0}"),
        ("git show HEAD~1", "git show HEAD~1"),
        ("ls &", "ls, (special)"),
        ("A=1 ls", "ls, (special)"),
        ("A=$(git push)", "git push, (special)"),
        ("ls > x", "ls, (special)"),
        ("ls ~/x", "ls ?"),
        ("ls $HOME", "ls ?"),
        ("ls {a,b}", "ls ?"),
        ("echo $(git push)", "git push, echo ?, (special)"),
        ("echo `git push`", "git push, echo ?, (special)"),
        ("echo \"a $(git push) b\"", "git push, echo ?, (special)"),
        ("$(echo git) push", "echo git, ? push, (special)"),
        ("if a; then b; elif c; then d; else e; fi", "a, b, c, d, e, (special)"),
        ("for f in $(a); do b; done; while c; do d; done", "a, b, c, d, (special)"),
        ("case x in a) b;; *) c;; esac", "b, c, (special)"),
        ("f() { git push; }; f", "git push, f, (special)"),
        ("cat <<EOF\n$(git push)\nEOF\nid", "git push, cat, id, (special)"),
        ("cat <<'EOF'\n$(git push)\nEOF", "cat, (special)"),
        ("ls $'x'", "ls ?, (not all)"),
        ("echo $((1+1))", "echo ?, (not all)"),
        ("echo ${x:-$(git push)}", "echo ?, (not all)"),
        ("[[ a && b ]]", "(not all)"),
        ("ls &> x", "ls, (not all)"),
        ("ls <(git push)", "git push, ls ?, (not all)"),
        ("ls\rid", "ls\\rid, (not all)"),
        ("ls (", "(not all)"),
        ("ls 'x", "(not all)"),
        ("ls \"$(\"", "(not all)"),
    ];
    let mut wrong = Vec::new();
    for (script, expected) in table {
        let said = said(script);
        if said != expected {
            wrong.push(format!("{script:?}: {said}   (expected {expected})"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn limits_fail_closed_and_soon() {
    let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "ls" + &close.repeat(depth);
    let beyond = [
        "x ".repeat(LENGTH),
        nested("$(", ")", DEPTH + 2),
        nested("\"$(", ")\"", DEPTH + 2),
        nested("(", ")", OPENINGS + 1),
        nested("{ ", "; }", OPENINGS + 1),
        "if ".repeat(OPENINGS + 1),
        "`".repeat(OPENINGS + 1),
        "ls;".repeat(COMMANDS + 1),
        "ls|".repeat(COMMANDS) + "ls",
    ];
    for script in beyond {
        let read = read(&script, &mut Effort::default());
        assert!(read.beyond && !read.whole && !read.plain, "{script:.20}");
    }
    let started = std::time::Instant::now();
    let odd = [
        nested("(", ")", OPENINGS),
        nested("((", "))", OPENINGS / 2),
        nested("${x:-", "}", OPENINGS),
        nested("$((", "))", OPENINGS / 2),
        nested("@(", ")", OPENINGS),
        nested("$(", "", OPENINGS),
        nested("if ", "", OPENINGS),
        nested("\"${x:-", "", OPENINGS),
        nested("a[", "]=", OPENINGS),
        nested("{ ", "; }", OPENINGS),
        "`".repeat(OPENINGS),
        "<<a ".repeat(1000),
        "'\"".repeat(5000),
    ];
    for script in odd {
        read(&script, &mut Effort::default());
    }
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

/// What the parser takes back and tries again costs twice as much a level: forty levels would keep it busy for years.
#[test]
fn a3_15_a_short_script_does_not_keep_the_parser_busy() {
    let opened = [
        ("case x in a) ", " esac"),
        ("case x in (a) ", "\nesac"),
        ("case x in a) coproc ", " esac"),
        ("case x in a) ", ";; esac"),
        ("(", ""),
        ("( ", ""),
        ("( (", ""),
        ("(\\\n(", ""),
        ("((", "; )"),
        ("((", "))"),
        ("for ((", ""),
        ("for ((", "; ; )) { a; }"),
        ("coproc f { ((", "; }"),
        ("coproc ", ""),
        ("[[ ! ", " ]]"),
        ("! ", ""),
        ("f() { ", "; }"),
        ("if a; then ", "; fi"),
        ("while ", "; do b; done"),
        ("for i in a; do ", "; done"),
        ("< <(", ")"),
        ("$(", ")"),
        ("\"$(", ")\""),
        ("\"x $(", ""),
        ("`", "`"),
        ("${a[", "]}"),
        ("${a[", ""),
        ("${x[$((", ""),
        ("${x[$((", "))]}"),
        ("${x:-", "}"),
        ("\"${x:-", "}\""),
        ("${x/", ""),
        ("$((", ""),
        ("$[", ""),
        ("a[(", ""),
        ("a[(", ")]=b"),
        ("a[${b[", "]=c"),
        ("x=(", ")"),
        ("@(", ")"),
        ("$(@(", "))"),
        ("{a,", "}"),
        ("<<E\n${a[", ""),
    ];
    let mut scripts = Vec::new();
    for (open, close) in opened {
        for depth in [3, 5, 8, 12, 20, 40, 64, 1000] {
            let script = open.repeat(depth) + "ls" + &close.repeat(depth);
            scripts.extend([format!("echo {script}"), format!("cat <<E\n{script}\nE"), script]);
        }
    }
    scripts.push("case x in a) ls x y z; ".repeat(6) + &"ls a[1]=b; ".repeat(1400) + &" esac".repeat(6));
    scripts.push("echo ${x[1]} $((1)) ".repeat(800));
    for script in scripts {
        let (done, over) = std::sync::mpsc::channel();
        let text = script.clone();
        // One that does not end must not keep the test from saying so.
        std::thread::spawn(move || {
            read(&text, &mut Effort::default());
            done.send(()).expect("somebody waits");
        });
        let most = std::time::Duration::from_secs(3);
        assert_eq!(over.recv_timeout(most), Ok(()), "{:?}, {} bytes", &script[..script.len().min(80)], script.len());
    }
}
