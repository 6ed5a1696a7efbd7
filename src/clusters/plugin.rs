//! Runs the credential plugins of clusters that are queried side by side, without a terminal and with a time limit.

use std::process::Command;
use std::time::Duration;

use k8s_openapi::ByteString;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::process::{self, Limits, Ran, RunError};

/// How much of a plugin's output is read, in bytes. Credentials have a few kilobytes.
const MAX_OUTPUT: u64 = 1 << 20;

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

/// Runs the user's plugin, and replaces it by the credentials that it prints. A user without a plugin is left
/// unchanged. Blocks.
///
/// # Errors
/// A sentence that says why there are no credentials and what to do.
pub fn resolve(user: &mut AuthInfo, limit: Duration) -> Result<(), String> {
    // Like kubectl, kube prefers these to a plugin.
    let has_credentials =
        user.token.is_some() || user.token_file.is_some() || user.password.is_some();
    let Some(exec) = user.exec.take().filter(|_| !has_credentials) else { return Ok(()) };
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
    let limits = Limits { time: limit, output: MAX_OUTPUT };
    let Ran { status, output, errors } =
        process::run(&mut command(exec), limits).map_err(|error| match error {
            RunError::Timeout(_) => format!("{error}; run it by hand, or see --timeout"),
            error => error.to_string(),
        })?;
    if !status.success() {
        let errors = String::from_utf8_lossy(&errors);
        let last = errors.lines().rev().find(|line| !line.trim().is_empty());
        return Err(format!("failed with {status}: {}", last.unwrap_or("it printed no error")));
    }
    // Without the parser's message, which may quote the token.
    let credential: ExecCredential = serde_saphyr::from_slice(&output)
        .map_err(|_| "printed what is no ExecCredential; run it by hand".to_owned())?;
    credential.status.ok_or_else(|| "printed an ExecCredential without a status".to_owned())
}

fn command(exec: &ExecConfig) -> Command {
    let mut command = Command::new(exec.command.as_deref().unwrap_or_default());
    command.args(exec.args.iter().flatten());
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    let cluster = if exec.provide_cluster_info { json!(exec.cluster) } else { Value::Null };
    let mut info = json!({
        "apiVersion": exec.api_version,
        "kind": "ExecCredential",
        "spec": {"interactive": false},
    });
    if let Some(spec) = info.get_mut("spec").filter(|_| !cluster.is_null()) {
        *spec = json!({"interactive": false, "cluster": cluster});
    }
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    command
}

/// Encodes PEM text as the kubeconfig's `-data` fields have it.
fn base64(text: String) -> String {
    let bytes = serde_json::to_value(ByteString(text.into_bytes()));
    bytes.ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    const POLL_INTERVAL: Duration = Duration::from_millis(10);

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
    fn a_plugin_learns_that_it_cannot_prompt() {
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
    fn a_plugins_error_does_not_quote_its_output() {
        for (exec, why) in [
            (
                shell("echo s3cret; echo no >&2; echo >&2; exit 3"),
                "plugin sh failed with exit status: 3: no",
            ),
            (shell("exit 1"), "it printed no error"),
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
    fn a_plugin_that_hangs_is_killed() {
        let exec: ExecConfig = serde_json::from_value(shell("exec sleep 1000")).unwrap();
        let error = credential(&exec, Duration::from_millis(1)).err().unwrap();
        assert!(error.starts_with("gave no answer within 1ms"), "{error}");
    }

    #[test]
    fn a_plugin_that_closes_its_output_and_goes_on_is_killed() {
        let exec = shell("echo '{}'; exec >&- 2>&-; sleep 1000");
        let exec: ExecConfig = serde_json::from_value(exec).unwrap();
        let error = credential(&exec, Duration::from_millis(200)).err().unwrap();
        assert!(error.starts_with("gave no answer within 200ms"), "{error}");
    }

    /// A regression: a plugin that forked and ended left its child running, with the output held open.
    #[test]
    fn a_plugins_child_processes_are_killed_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}", file.display());
        let exec: ExecConfig = serde_json::from_value(shell(&script)).unwrap();
        let mut limit = Duration::from_millis(100);
        // On a loaded machine, the plugin may take longer to start its child.
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
            // A zombie is dead, although no process has waited for it yet.
            status.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
        };
        let until = Instant::now() + Duration::from_mins(2);
        while lives() {
            assert!(Instant::now() < until, "process {pid} has survived its plugin");
            thread::sleep(POLL_INTERVAL);
        }
    }

    #[test]
    fn a_token_comes_before_a_plugin() {
        let user = json!({"token": "t", "exec": {"command": "/no/plugin"}});
        let mut user: AuthInfo = serde_json::from_value(user).unwrap();
        resolve(&mut user, Duration::from_mins(1)).unwrap();
    }
}
