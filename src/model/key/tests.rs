use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn variables(names: &[&str], required: bool) -> Source {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Source::Variables { names, required, table: "mine".to_owned() }
}

async fn read(key: &Key) -> Result<String, String> {
    let read = key.read().await.map_err(|fault| fault.message)?;
    Ok(read.key().map_or_else(|| "nothing".to_owned(), |key| key.expose_secret().to_owned()))
}

#[tokio::test]
async fn keys_are_read_when_needed_and_never_printed() {
    let environment = Environment::of(&[("KEY", " sk-canary \n"), ("EMPTY", "  ")]);
    let key = Key::new(environment.clone(), variables(&["EMPTY", "KEY"], true));
    assert_eq!(read(&key).await.unwrap(), "sk-canary");
    assert_eq!(key.variable(), Some("KEY"));
    let credential = key.read().await.unwrap();
    let secret = credential.key().unwrap();
    assert_eq!(header("Bearer ", secret).unwrap().to_str().unwrap(), "Bearer sk-canary");
    let printed = format!("{key:?} {environment:?} {secret:?} {:?}", header("", secret));
    assert!(!printed.contains("canary"), "{printed}");

    let empty = Key::new(environment.clone(), variables(&["EMPTY"], true));
    let said = "the environment variable EMPTY is not set; set it where the editor starts from, name a program in api_key_command, or keep the key in the keyring (service cowrite, user mine)";
    assert_eq!((empty.missing().await.as_deref(), read(&empty).await.unwrap_err().as_str()), (Some(said), said));
    assert_eq!(read(&Key::new(environment, variables(&["EMPTY"], false))).await.unwrap(), "nothing");
}

#[tokio::test]
async fn the_keyring_is_asked_when_no_variable_is_set() {
    let ring = |entry: &str| Ok((entry == "mine").then(|| SecretString::from("sk-ring")));
    let kept = Key::new(Environment::of(&[]).with_keyring(ring), variables(&["KEY"], true));
    assert_eq!((kept.missing().await, read(&kept).await.unwrap().as_str()), (None, "sk-ring"));
    assert!(!kept.at_hand());
    assert_eq!(kept.cure(), "the keyring's entry for it (service cowrite, user mine)");
    let set = Key::new(Environment::of(&[("KEY", "sk-set")]).with_keyring(ring), variables(&["KEY"], true));
    assert_eq!(read(&set).await.unwrap(), "sk-set");
    let locked = Environment::of(&[]).with_keyring(|_| Err("it is locked".to_owned()));
    let said = read(&Key::new(locked, variables(&["KEY"], true))).await.unwrap_err();
    assert!(said.ends_with("; the keyring gave none: it is locked"), "{said}");
}

#[tokio::test]
async fn a_command_prints_the_key() {
    let command = |words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Key::new(Environment::of(&[]), Source::Command(words))
    };
    assert_eq!(read(&command(&["printf", " sk-%s \n", "canary"])).await.unwrap(), "sk-canary");
    let failed = read(&command(&["sh", "-c", "echo sk-canary; echo no such entry >&2; exit 3"])).await.unwrap_err();
    assert_eq!(failed, "api_key_command (sh) failed with status 3; run it in a terminal to see why");
    let nothing = read(&command(&["true"])).await.unwrap_err();
    assert_eq!(nothing, "api_key_command (true) printed nothing; it should print the key and end");
    let missing = read(&command(&["/nowhere/at-all"])).await.unwrap_err();
    assert!(missing.starts_with("api_key_command (/nowhere/at-all) could not be started: No such file"), "{missing}");
    let endless = read(&command(&["yes"])).await.unwrap_err();
    assert_eq!(endless, "api_key_command (yes) printed more than a key can be; it should print the key and end");
}

#[test]
fn a_key_that_no_header_can_carry_is_not_shown() {
    let fault = header("", &SecretString::from("sk-\u{1}canary")).unwrap_err();
    assert!(!format!("{fault:?}").contains("canary"));
}

#[tokio::test]
async fn one_who_names_no_variable_may_have_an_entry_in_the_keyring_and_may_go_without() {
    let ring = |entry: &str| Ok((entry == "mine").then(|| SecretString::from("sk-ring")));
    let kept = Key::new(Environment::of(&[]).with_keyring(ring), variables(&[], false));
    assert_eq!((kept.at_hand(), kept.variable(), kept.missing().await), (true, None, None));
    assert_eq!(read(&kept).await.as_deref(), Ok("sk-ring"));
    #[cfg(not(windows))]
    insta::assert_snapshot!(kept.cure(), @"api_key_env or api_key_command of the provider, or the keyring's entry for it (service cowrite, user mine)");

    assert_eq!(read(&Key::new(Environment::of(&[]), variables(&[], false))).await.as_deref(), Ok("nothing"));
    let locked = Environment::of(&[]).with_keyring(|_| Err("it is locked".to_owned()));
    assert_eq!(read(&Key::new(locked, variables(&[], false))).await.as_deref(), Ok("nothing"));
    let needed = Key::new(Environment::of(&[]), variables(&[], true));
    #[cfg(not(windows))]
    insta::assert_snapshot!(needed.needed(), @"no key is there; name a variable in api_key_env, name a program in api_key_command, or keep the key in the keyring (service cowrite, user mine)");
    assert_eq!(read(&needed).await, Err(needed.needed()));
}

#[tokio::test]
async fn the_keyring_is_asked_once_and_variables_are_read_each_time() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let ring = move |_: &str| {
        let key = format!("sk-{}", counted.fetch_add(1, Ordering::Relaxed));
        Ok(Some(SecretString::from(key)))
    };
    let key = Key::new(Environment::of(&[]).with_keyring(ring), variables(&["KEY"], true));
    assert_eq!((read(&key).await.unwrap(), read(&key.clone()).await.unwrap()), ("sk-0".to_owned(), "sk-0".to_owned()));
    assert_eq!((key.missing().await, asked.load(Ordering::Relaxed)), (None, 1));
    key.forget();
    assert_eq!(read(&key).await.unwrap(), "sk-1");
    let printed = format!("{key:?}");
    assert!(!printed.contains("sk-1"), "{printed}");
}

#[cfg(unix)]
mod programs {
    use std::path::Path;

    use super::*;

    fn command(environment: Environment, words: &[&str]) -> Key {
        Key::new(environment, Source::Command(words.iter().map(|word| (*word).to_owned()).collect()))
    }

    /// A program that a shell writes: a file that this process has open for writing cannot be run.
    fn program(folder: &Path, name: &str, script: &str) {
        let line = "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod +x \"$1\"";
        let written =
            std::process::Command::new("sh").args(["-c", line, "sh"]).arg(folder.join(name)).arg(script).status();
        assert!(written.unwrap().success());
    }

    /// An environment in which programs are looked for in this folder first.
    fn finding(folder: &Path, more: &[(&str, &str)]) -> Environment {
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        Environment::of(&[&[("PATH", path.as_str())], more].concat())
    }

    #[tokio::test]
    async fn a_program_that_is_asked_for_a_key_gets_no_other() {
        let variables = [
            ("ANTHROPIC_API_KEY", "canary-own"),
            ("OPENAI_API_KEY", "canary-own"),
            ("AZURE_OPENAI_API_KEY", "canary-own"),
            ("GEMINI_API_KEY", "canary-own"),
            ("GOOGLE_API_KEY", "canary-own"),
            ("COHERE_API_KEY", "canary-own"),
            ("CO_API_KEY", "canary-own"),
            ("AWS_BEARER_TOKEN_BEDROCK", "canary-own"),
            ("AWS_ACCESS_KEY_ID", "canary-aws"),
            ("AWS_SECRET_ACCESS_KEY", "canary-aws"),
            ("AWS_SESSION_TOKEN", "canary-aws"),
            ("some_api_key", "canary-own"),
            ("THEIRS", " canary-theirs "),
            ("COPY_OF_THEIRS", "canary-theirs"),
            ("OP_SERVICE_ACCOUNT_TOKEN", "opens-the-safe"),
            ("AWS_PROFILE", "work"),
        ];
        let environment = Environment::of(&variables);
        let of = |words: &[&str]| command(environment.clone(), words).hiding(["THEIRS".to_owned()]);
        let seen = read(&of(&["env"])).await.unwrap();
        assert!(!seen.contains("canary-"), "{seen}");
        assert!(
            seen.contains("OP_SERVICE_ACCOUNT_TOKEN=opens-the-safe") && seen.contains("AWS_PROFILE=work"),
            "{seen}"
        );

        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "aws", "env");
        let seen = read(&of(&[folder.path().join("aws").to_str().unwrap()])).await.unwrap();
        assert!(!seen.replace("canary-aws", "").contains("canary-"), "{seen}");
        assert_eq!(seen.matches("canary-aws").count(), 3, "{seen}");
    }

    /// The value of a variable that was looked at for the key goes to the keyring's tool under no name.
    #[cfg(not(target_os = "macos"))]
    #[tokio::test]
    async fn the_keyrings_tool_is_asked_for_the_entry() {
        let folder = tempfile::tempdir().unwrap();
        let find = async |script: &str| {
            program(folder.path(), "secret-tool", script);
            let environment = finding(folder.path(), &[("KEY", "canary"), ("COPY", "canary")]);
            let found = keyring::find("mine".to_owned(), environment.inherited(&["KEY".to_owned()], Whose::Anothers));
            found.await.map(|key| key.map(|key| key.expose_secret().to_owned()))
        };
        assert_eq!(
            find("echo \" sk $* $KEY$COPY\"").await,
            Ok(Some("sk lookup service cowrite username mine".to_owned()))
        );
        assert_eq!(find("exit 1").await, Ok(None));
        assert_eq!(find("exit 0").await, Ok(None));
        let locked = find("echo canary; echo canary >&2; exit 1").await.unwrap_err();
        insta::assert_snapshot!(locked, @"secret-tool lookup service cowrite username mine failed with status 1; run it in a terminal to see why");
    }

    #[tokio::test]
    async fn a_command_is_run_once_until_its_key_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let line = "echo >>\"$0\"; sleep 0.1; echo sk-$(wc -l <\"$0\")";
        let key = command(Environment::of(&[]), &["sh", "-c", line, count.to_str().unwrap()]);
        let other = key.clone();
        let (one, two) = tokio::join!(read(&key), read(&other));
        assert_eq!((one.as_deref(), two.as_deref()), (Ok("sk-1"), Ok("sk-1")));
        assert_eq!(read(&key).await.as_deref(), Ok("sk-1"));
        key.forget();
        assert_eq!(read(&other).await.as_deref(), Ok("sk-2"));
    }

    #[tokio::test]
    async fn a_role_is_taken_by_awss_command_line_where_there_is_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        let offers = |variable: &'static str, path: &Path| {
            let environment = finding(path, &[("HOME", home), (variable, "offered")]);
            Key::new(environment, Source::Aws { profile: None })
        };
        let variable = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
        let key = offers(variable, folder.path());
        assert_eq!(key.missing().await, None);
        program(folder.path(), "aws", "echo canary; echo canary >&2; exit 253");
        insta::assert_snapshot!(read(&key).await.unwrap_err(), @"aws configure export-credentials failed with status 253; AWS_CONTAINER_CREDENTIALS_RELATIVE_URI offers a role, which AWS's command line takes: install version 2 of it where the editor runs, or run it in a terminal to see why");
        let script = r#"echo >>"$HOME/count"
[ "$*" = 'configure export-credentials --format process' ] || exit 1
echo "{\"Version\": 1, \"AccessKeyId\": \"AK\", \"SecretAccessKey\": \"$(wc -l <"$HOME/count")\", \"Expiration\": \"2999-01-01T00:00:00Z\"}""#;
        program(folder.path(), "aws", script);
        for variable in [variable, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
            std::fs::remove_file(folder.path().join("count")).unwrap_or_default();
            let key = offers(variable, folder.path());
            for _ in 0..2 {
                let read = key.read().await.unwrap();
                let Credential::Aws { secret, .. } = &*read else { panic!("{variable}") };
                assert_eq!(secret.expose_secret(), "1", "it is asked once");
            }
        }
        let bare = Environment::of(&[("HOME", home), ("PATH", "/nowhere"), (variable, "offered")]);
        let missing = read(&Key::new(bare.clone(), Source::Aws { profile: None })).await.unwrap_err();
        insta::assert_snapshot!(missing, @"aws configure export-credentials could not be started: No such file or directory (os error 2); AWS_CONTAINER_CREDENTIALS_RELATIVE_URI offers a role, which AWS's command line takes: install version 2 of it where the editor runs, or run it in a terminal to see why");
        let named = read(&Key::new(bare, Source::Aws { profile: Some("nope".to_owned()) })).await.unwrap_err();
        assert!(named.starts_with("the AWS profile nope is neither in "), "{named}");
    }
}
