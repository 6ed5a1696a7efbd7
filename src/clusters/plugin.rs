//! Credential plugins of clusters that are asked side by side: none gets the terminal, none is waited for without end.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};

/// The most that is read of what a plugin prints, in bytes. Credentials have a few kilobytes.
const MOST: u64 = 1 << 20;
/// How often it is looked whether it has ended, once it prints nothing more.
const LOOK: Duration = Duration::from_millis(10);
/// How long a plugin that was killed is waited for: one in an uninterruptible call ends when that does.
const KILLED: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Puts what the user's plugin gives in the plugin's place; a user without one stays as it is. Blocks.
///
/// # Errors
/// Why there are no credentials, as a sentence that says what to do.
pub fn resolve(user: &mut AuthInfo, limit: Duration) -> Result<(), String> {
    // What kube prefers to a plugin, as kubectl does.
    let outranked = user.token.is_some() || user.token_file.is_some() || user.password.is_some();
    let Some(exec) = user.exec.take().filter(|_| !outranked) else { return Ok(()) };
    let command = exec.command.clone().unwrap_or_default();
    let described = |why: String| {
        let hint = exec.install_hint.as_deref().map(|hint| format!("; {}", hint.trim()));
        format!("its credential plugin {command} {why}{}", hint.unwrap_or_default())
    };
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(described("wants to ask at the terminal; ask this cluster alone".to_owned()));
    }
    let status = credential(&exec, limit).map_err(described)?;
    match (status.token, status.client_certificate_data, status.client_key_data) {
        (_, Some(certificate), Some(key)) => {
            user.client_certificate_data = Some(base64(certificate));
            user.client_key_data = Some(base64(key).into());
        }
        (Some(token), ..) => user.token = Some(token.into()),
        _ => {
            return Err(described(
                "gave neither a token nor a certificate with its key".to_owned(),
            ));
        }
    }
    Ok(())
}

fn credential(exec: &ExecConfig, limit: Duration) -> Result<Status, String> {
    let deadline = Instant::now() + limit;
    let mut child = spawn(exec).map_err(|error| format!("cannot be run: {error}"))?;
    let printed = printed(&mut child, deadline);
    let ended = match &printed {
        None => None,
        Some(_) => {
            ended(&mut child, deadline).map_err(|error| format!("cannot be waited for: {error}"))?
        }
    };
    let (Some([output, errors]), Some(ended)) = (printed, ended) else {
        kill(&mut child);
        return Err(format!("gave no answer within {limit:?}; run it by hand, or see --timeout"));
    };
    if !ended.success() {
        let errors = String::from_utf8_lossy(&errors);
        let last = errors.lines().rev().find(|line| !line.trim().is_empty());
        return Err(format!("failed with {ended}: {}", last.unwrap_or("it says nothing")));
    }
    // Not with the parser's words: they may hold a piece of the token.
    let credential: ExecCredential = serde_saphyr::from_slice(&output)
        .map_err(|_| "printed what is no ExecCredential; run it by hand".to_owned())?;
    credential.status.ok_or_else(|| "printed an ExecCredential without a status".to_owned())
}

/// How it ended, if it does in time.
fn ended(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        match child.try_wait()? {
            None if Instant::now() < deadline => thread::sleep(LOOK),
            ended => return Ok(ended),
        }
    }
}

/// Ends it and all that it has started, which is in its group.
fn kill(child: &mut Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = ended(child, Instant::now() + KILLED);
}

fn spawn(exec: &ExecConfig) -> io::Result<Child> {
    let mut command = Command::new(exec.command.as_deref().unwrap_or_default());
    command.args(exec.args.iter().flatten());
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    let cluster = if exec.provide_cluster_info { json!(exec.cluster) } else { Value::Null };
    let mut asked = json!({
        "apiVersion": exec.api_version,
        "kind": "ExecCredential",
        "spec": {"interactive": false},
    });
    if let Some(spec) = asked.get_mut("spec").filter(|_| !cluster.is_null()) {
        *spec = json!({"interactive": false, "cluster": cluster});
    }
    command
        .env("KUBERNETES_EXEC_INFO", asked.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// What it prints on stdout and stderr until it ends, if it ends in time.
fn printed(child: &mut Child, deadline: Instant) -> Option<[Vec<u8>; 2]> {
    let mut read = Vec::new();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|it| Box::new(it) as _),
        child.stderr.take().map(|it| Box::new(it) as _),
    ];
    for stream in streams.into_iter().flatten() {
        let (described, heard) = mpsc::channel();
        // A plugin's own children may hold the stream for longer, so nobody waits for this thread.
        thread::Builder::new()
            .spawn(move || {
                let mut bytes = Vec::new();
                let _ = stream.take(MOST).read_to_end(&mut bytes);
                let _ = described.send(bytes);
            })
            .ok()?;
        read.push(heard);
    }
    let mut left = read
        .into_iter()
        .map(|heard| heard.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok());
    Some([left.next()??, left.next()??])
}

/// As a kubeconfig holds what a plugin gives plainly.
fn base64(text: String) -> String {
    let bytes = serde_json::to_value(ByteString(text.into_bytes()));
    bytes.ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(exec: &Value) -> Result<AuthInfo, String> {
        let mut user: AuthInfo = serde_json::from_value(json!({"exec": exec})).unwrap();
        resolve(&mut user, Duration::from_mins(1)).map(|()| user)
    }

    fn shell(script: &str) -> Value {
        json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script]})
    }

    #[test]
    fn a_plugin_gives_a_token_or_a_certificate() {
        let user = resolved(&shell(r#"echo '{"status": {"token": "t"}}'"#)).unwrap();
        assert_eq!(serde_json::to_value(user).unwrap(), json!({"token": "t"}));
        let pair = r#"echo '{"status": {"clientCertificateData": "c", "clientKeyData": "k"}}'"#;
        let user = serde_json::to_value(resolved(&shell(pair)).unwrap()).unwrap();
        assert_eq!(user, json!({"client-certificate-data": "Yw==", "client-key-data": "aw=="}));
    }

    #[test]
    fn a_plugin_is_told_that_nobody_answers_it() {
        let mut exec = shell(
            r#"printf '{"status": {"token": "%s %s"}}' "$NAME" "$(echo "$KUBERNETES_EXEC_INFO" | tr -d '"')""#,
        );
        exec["env"] = json!([{"name": "NAME", "value": "jane"}]);
        let user = serde_json::to_value(resolved(&exec).unwrap()).unwrap();
        let token = user["token"].as_str().unwrap();
        assert!(
            token.starts_with("jane ") && token.contains("spec:{interactive:false}"),
            "{token}"
        );
    }

    #[test]
    fn what_is_wrong_with_a_plugin_is_said_without_what_it_printed() {
        for (exec, why) in [
            (
                shell("echo s3cret; echo no >&2; echo >&2; exit 3"),
                "plugin sh failed with exit status: 3: no",
            ),
            (shell("exit 1"), "it says nothing"),
            (shell("echo s3cret: ["), "printed what is no ExecCredential"),
            (shell("echo '{}'"), "without a status"),
            (shell("echo '{\"status\": {}}'"), "neither a token nor a certificate"),
            (json!({"command": "/no/plugin", "installHint": "brew install it"}), "cannot be run: "),
            (
                json!({"command": "/no/plugin", "installHint": "brew install it"}),
                "; brew install it",
            ),
            (json!({"command": "sh", "interactiveMode": "Always"}), "wants to ask at the terminal"),
        ] {
            let error = resolved(&exec).unwrap_err();
            assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_plugin_that_hangs_is_ended() {
        let exec: ExecConfig = serde_json::from_value(shell("exec sleep 1000")).unwrap();
        let error = credential(&exec, Duration::from_millis(1)).err().unwrap();
        assert!(error.starts_with("gave no answer within 1ms"), "{error}");
    }

    #[test]
    fn a_plugin_that_prints_nothing_more_and_goes_on_is_ended() {
        let exec = shell("echo '{}'; exec >&- 2>&-; sleep 1000");
        let exec: ExecConfig = serde_json::from_value(exec).unwrap();
        let error = credential(&exec, Duration::from_millis(200)).err().unwrap();
        assert!(error.starts_with("gave no answer within 200ms"), "{error}");
    }

    /// One that forks and ends left what it had started behind, with its output held open.
    #[test]
    fn what_a_plugin_has_started_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}", file.display());
        let exec: ExecConfig = serde_json::from_value(shell(&script)).unwrap();
        let mut limit = Duration::from_millis(100);
        // A loaded machine may take longer until it has started anything.
        let pid = loop {
            let error = credential(&exec, limit).err().unwrap();
            assert!(error.starts_with("gave no answer within"), "{error}");
            match std::fs::read_to_string(&file).unwrap_or_default().trim() {
                "" => limit *= 2,
                pid => break pid.to_owned(),
            }
            assert!(limit < Duration::from_mins(2), "the plugin has started nothing");
        };
        let lives = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // One that nobody has waited for yet is dead all the same.
            status.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
        };
        let until = Instant::now() + Duration::from_mins(2);
        while lives() {
            assert!(Instant::now() < until, "process {pid} has survived its plugin");
            thread::sleep(LOOK);
        }
    }

    #[test]
    fn a_token_comes_before_a_plugin() {
        let user = json!({"token": "t", "exec": {"command": "/no/plugin"}});
        let mut user: AuthInfo = serde_json::from_value(user).unwrap();
        resolve(&mut user, Duration::from_mins(1)).unwrap();
    }
}
