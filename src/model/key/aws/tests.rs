use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::model::key::child::Whose;

/// A home with AWS's two files.
fn home(config: &str, credentials: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
    home
}

fn environment(home: &tempfile::TempDir, more: &[(&str, &str)]) -> Environment {
    let home = home.path().to_str().unwrap();
    Environment::of(&[&[("HOME", home)], more].concat())
}

fn shown(credential: &Credential) -> String {
    let text = |secret: &secrecy::SecretString| secret.expose_secret().to_owned();
    match credential {
        Credential::None => "none".to_owned(),
        Credential::Key(key) => format!("bearer {}", text(key)),
        Credential::Aws { access_key_id, secret, session_token } => {
            let token = session_token.as_ref().map_or_else(|| "-".to_owned(), text);
            format!("{} {} {token}", text(access_key_id), text(secret))
        }
    }
}

async fn found(environment: &Environment, profile: Option<&str>) -> Result<String, String> {
    let read = read(environment, profile, &Kept::default(), environment.inherited(&[], Whose::Aws)).await;
    read.map(|credential| shown(&credential)).map_err(|fault| {
        assert_eq!(fault.kind, Kind::NotConfigured);
        fault.message
    })
}

const CONFIG: &str = "
# what the team shares
[default]
region = eu-north-1
[profile work]
Region = eu-central-1   ; near
aws_access_key_id = AKCONFIG
aws_secret_access_key = in#config
s3 =
  max_concurrent_requests = 20
[profile empty]
region = us-west-1
[profile half]
aws_access_key_id = AKHALF
";

const CREDENTIALS: &str = "
[default]
aws_access_key_id=AKDEFAULT
aws_secret_access_key=de/fault+=
[other]
aws_access_key_id = AKOTHER
aws_secret_access_key = secret
aws_session_token = token==
";

#[tokio::test]
async fn credentials_are_looked_for_in_the_order_that_aws_has() {
    let home = home(CONFIG, CREDENTIALS);
    let keys = [("AWS_ACCESS_KEY_ID", "AKENV"), ("AWS_SECRET_ACCESS_KEY", "env"), ("AWS_SESSION_TOKEN", "session")];
    let bearer = [keys.as_slice(), &[("AWS_BEARER_TOKEN_BEDROCK", "bedrock")]].concat();
    let profile = [("AWS_PROFILE", "other")];
    let both = [keys.as_slice(), &profile].concat();
    let cases = [
        (bearer.as_slice(), Some("work"), "bearer bedrock"),
        (&bearer, None, "bearer bedrock"),
        (&both, None, "AKENV env session"),
        (&both, Some("work"), "AKCONFIG in#config -"),
        (&profile, None, "AKOTHER secret token=="),
        (&profile, Some("work"), "AKCONFIG in#config -"),
        (&[], None, "AKDEFAULT de/fault+= -"),
        (&[("AWS_PROFILE", " ")], None, "AKDEFAULT de/fault+= -"),
    ];
    for (variables, profile, expected) in cases {
        let found = found(&environment(&home, variables), profile).await;
        assert_eq!(found.as_deref(), Ok(expected), "{variables:?} {profile:?}");
    }
}

#[tokio::test]
async fn the_files_may_be_elsewhere() {
    let (home, elsewhere) = (home("", ""), home(CONFIG, CREDENTIALS));
    let of = |name: &str| elsewhere.path().join(".aws").join(name).to_str().unwrap().to_owned();
    let (config, credentials) = (of("config"), of("credentials"));
    let files = [("AWS_CONFIG_FILE", config.as_str()), ("AWS_SHARED_CREDENTIALS_FILE", credentials.as_str())];
    let environment = environment(&home, &files);
    assert_eq!(found(&environment, None).await.as_deref(), Ok("AKDEFAULT de/fault+= -"));
    assert_eq!(region(&environment, None).as_deref(), Some("eu-north-1"));

    let tilde = self::environment(&elsewhere, &[("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")]);
    assert_eq!(found(&tilde, Some("other")).await.as_deref(), Ok("AKOTHER secret token=="));
}

#[test]
fn a_region_comes_from_the_environment_and_then_from_the_profile() {
    let home = home(CONFIG, CREDENTIALS);
    let of = |variables: &[(&str, &str)], profile| region(&environment(&home, variables), profile);
    assert_eq!(of(&[("AWS_REGION", "a"), ("AWS_DEFAULT_REGION", "b")], Some("work")).as_deref(), Some("a"));
    assert_eq!(of(&[("AWS_DEFAULT_REGION", "b")], None).as_deref(), Some("b"));
    assert_eq!(of(&[], Some("work")).as_deref(), Some("eu-central-1"));
    assert_eq!(of(&[("AWS_PROFILE", "empty")], None).as_deref(), Some("us-west-1"));
    assert_eq!(of(&[], None).as_deref(), Some("eu-north-1"));
    assert_eq!(of(&[], Some("other")), None);
}

#[tokio::test]
async fn what_is_missing_is_named_and_where_it_was_looked_for() {
    let home = home(CONFIG, "");
    let path = home.path().to_str().unwrap().to_owned();
    let says = |text: String| text.replace(&path, "HOME").replace('\\', "/");
    let of = async |variables: &[(&str, &str)], profile: Option<&str>| {
        says(found(&environment(&home, variables), profile).await.unwrap_err())
    };
    insta::assert_snapshot!(of(&[], None).await, @"set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE where the editor starts from; the profile default holds none either, in HOME/.aws/config and HOME/.aws/credentials");
    insta::assert_snapshot!(of(&[], Some("nope")).await, @"the AWS profile nope is neither in HOME/.aws/config nor in HOME/.aws/credentials");
    insta::assert_snapshot!(of(&[("AWS_PROFILE", "empty")], None).await, @"the AWS profile empty holds none; it needs aws_access_key_id and aws_secret_access_key, credential_process, sso_session or role_arn, in HOME/.aws/config or HOME/.aws/credentials");
    insta::assert_snapshot!(of(&[], Some("half")).await, @"the AWS profile half needs both aws_access_key_id and aws_secret_access_key, and has one of them");
    insta::assert_snapshot!(of(&[("AWS_ACCESS_KEY_ID", "AKCANARY")], None).await, @"AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both");
    insta::assert_snapshot!(of(&[("AWS_SECRET_ACCESS_KEY", "canary")], None).await, @"AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not; set both");

    let environment = environment(&home, &[("AWS_PROFILE", "nope")]);
    let missing = missing(&environment, None).unwrap();
    insta::assert_snapshot!(says(missing), @"it needs credentials: the AWS profile nope is neither in HOME/.aws/config nor in HOME/.aws/credentials");
    assert_eq!(super::missing(&environment, Some("work")), None);
}

#[test]
fn without_the_files_nothing_is_found_and_the_cure_is_named() {
    let home = tempfile::tempdir().unwrap();
    let environment = environment(&home, &[]);
    assert_eq!(region(&environment, None), None);
    let said = missing(&environment, None).unwrap();
    assert!(said.starts_with("it needs credentials: set AWS_BEARER_TOKEN_BEDROCK, or "), "{said}");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_a_fault_that_shows_none_of_it() {
    let broken = home("", "[default]\naws_secret_access_key canary\n");
    let error = found(&environment(&broken, &[]), None).await.unwrap_err();
    assert!(error.contains("line 2") && error.contains("credentials"), "{error}");
    assert!(!error.contains("canary"), "{error}");

    let unreadable = home("", "");
    let folder = unreadable.path().to_str().unwrap();
    let error = found(&environment(&unreadable, &[("AWS_CONFIG_FILE", folder)]), None).await.unwrap_err();
    assert!(error.contains("cannot be read"), "{error}");
}

/// A home may lie on another machine, and one thread may serve all sessions.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_slow_to_read_holds_nobody_up() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    assert!(std::process::Command::new("mkfifo").arg(&config).status().unwrap().success());
    let environment = environment(&home, &[("AWS_CONFIG_FILE", config.to_str().unwrap())]);
    let begun = std::time::Instant::now();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        std::fs::write(config, CONFIG)
    });
    let other = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        begun.elapsed()
    };
    let (found, other) = tokio::join!(found(&environment, Some("work")), other);
    assert_eq!(found.as_deref(), Ok("AKCONFIG in#config -"));
    assert!(other < Duration::from_millis(900), "{other:?}");
    writer.join().unwrap().unwrap();
}

#[cfg(unix)]
mod programs {
    use super::*;

    async fn asked(line: &str) -> Result<String, String> {
        let ran = Program::shell(line, "work").run(Environment::of(&[]).inherited(&[], Whose::Aws)).await;
        ran.map(|(credential, _)| shown(&credential))
    }

    #[tokio::test]
    async fn what_a_program_prints_is_used() {
        let config = r#"
[profile work]
credential_process = sh -c 'read line; echo "{\"Version\": 1, \"AccessKeyId\": \"AK$line\", \"SecretAccessKey\": \"s\", \"SessionToken\": \"t\", \"Expiration\": \"2999-01-01T00:00:00+00:00\", \"New\": 1}"'
"#;
        let home = home(config, "");
        let found = found(&environment(&home, &[]), Some("work")).await;
        assert_eq!(found.as_deref(), Ok("AK s t"), "nothing is there to be read from its input");
    }

    #[tokio::test]
    async fn a_program_that_fails_is_told_without_its_words() {
        let cases = [
            ("echo canary; echo canary >&2; exit 3", "failed with status 3; run it in a terminal to see why"),
            ("echo canary", "printed no credentials (JSON with Version 1, AccessKeyId and SecretAccessKey); run"),
            (r#"echo '{"Version":2,"AccessKeyId":"canary","SecretAccessKey":"canary"}'"#, "printed no credentials"),
            (r#"echo '{"Version":1,"AccessKeyId":"","SecretAccessKey":"canary"}'"#, "printed no credentials"),
            ("yes canary", "printed more than a key can be"),
            (
                r#"echo '{"Version":1,"AccessKeyId":"canary","SecretAccessKey":"s","Expiration":"2020-01-01T00:00:00Z"}'"#,
                "printed credentials that have expired",
            ),
        ];
        for (line, expected) in cases {
            let error = asked(line).await.unwrap_err();
            assert!(error.starts_with("the credential_process of the AWS profile work "), "{error}");
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_profile_that_signs_in_is_asked_of_awss_command_line() {
        let config = "
[profile role]
role_arn = arn:aws:iam::1:role/x
source_profile = other
[profile sso]
sso_session = corp
aws_access_key_id = AKOLD
";
        let home = home(config, CREDENTIALS);
        for name in ["role", "sso"] {
            let found = Profile::load(&environment(&home, &[]), Some(name)).unwrap().found(None).unwrap();
            let Found::Asked(program) = found else { panic!("{name}") };
            assert_eq!(program.line(), format!("aws configure export-credentials --profile {name} --format process"));
        }
        assert_eq!(missing(&environment(&home, &[]), Some("sso")), None);
    }
}
