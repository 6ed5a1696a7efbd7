//! The volumes of a container, as files in a folder of the harness.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    ConfigMap, Pod, Secret, ServiceAccount, Volume, VolumeProjection,
};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::container::field;

/// Writes the files of a volume; returns the reason while it cannot.
pub async fn write(client: &Client, pod: &Pod, volume: &Volume, dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|it| it.to_string())?;
    let namespace = pod.namespace().unwrap();
    let files = if let Some(projected) = &volume.projected {
        let mut files = BTreeMap::new();
        for source in projected.sources.iter().flatten() {
            files.extend(projection(client, pod, source).await?);
        }
        files
    } else if let Some(secret) = &volume.secret {
        secret_files(client, &namespace, secret.secret_name.as_deref().unwrap()).await?
    } else if let Some(map) = &volume.config_map {
        map_files(client, &namespace, &map.name).await?
    } else if volume.empty_dir.is_some() {
        BTreeMap::new()
    } else {
        panic!("this kubelet does not support the kind of volume {}", volume.name);
    };
    for (name, content) in files {
        // By a rename, as programs that watch the file expect.
        let new = dir.join(format!(".{name}"));
        fs::write(&new, content)
            .and_then(|()| fs::rename(&new, dir.join(name)))
            .map_err(|it| it.to_string())?;
    }
    Ok(())
}

type Files = BTreeMap<String, Vec<u8>>;

async fn projection(
    client: &Client,
    pod: &Pod,
    source: &VolumeProjection,
) -> Result<Files, String> {
    let namespace = pod.namespace().unwrap();
    let mut files = Files::new();
    if let Some(wanted) = &source.service_account_token {
        let token =
            token(client, pod, wanted.expiration_seconds, wanted.audience.as_deref()).await?;
        files.insert(wanted.path.clone(), token.into_bytes());
    }
    if let Some(wanted) = &source.config_map {
        let all = map_files(client, &namespace, &wanted.name).await?;
        files.extend(picked(all, wanted.items.as_deref()));
    }
    if let Some(wanted) = &source.secret {
        let all = secret_files(client, &namespace, &wanted.name).await?;
        files.extend(picked(all, wanted.items.as_deref()));
    }
    for item in source.downward_api.iter().flat_map(|it| it.items.iter().flatten()) {
        let path = &item.field_ref.as_ref().expect("a field").field_path;
        files.insert(item.path.clone(), field(pod, path, "").into_bytes());
    }
    Ok(files)
}

fn picked(mut all: Files, items: Option<&[k8s_openapi::api::core::v1::KeyToPath]>) -> Files {
    let Some(items) = items else { return all };
    items.iter().filter_map(|it| Some((it.path.clone(), all.remove(&it.key)?))).collect()
}

async fn map_files(client: &Client, namespace: &str, name: &str) -> Result<Files, String> {
    let map = Api::<ConfigMap>::namespaced(client.clone(), namespace).get(name).await;
    let map = map.map_err(|error| format!("ConfigMap {name}: {error}"))?;
    let data = map.data.unwrap_or_default();
    Ok(data.into_iter().map(|(name, text)| (name, text.into_bytes())).collect())
}

async fn secret_files(client: &Client, namespace: &str, name: &str) -> Result<Files, String> {
    let secret = Api::<Secret>::namespaced(client.clone(), namespace).get(name).await;
    let secret = secret.map_err(|error| format!("Secret {name}: {error}"))?;
    let data = secret.data.unwrap_or_default();
    Ok(data.into_iter().map(|(name, ByteString(bytes))| (name, bytes)).collect())
}

/// A token of the pod's ServiceAccount, bound to the pod.
async fn token(
    client: &Client,
    pod: &Pod,
    seconds: Option<i64>,
    audience: Option<&str>,
) -> Result<String, String> {
    let account = pod.spec.as_ref().unwrap().service_account_name.as_deref().unwrap_or("default");
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": audience.into_iter().collect::<Vec<_>>(),
            "expirationSeconds": seconds.unwrap_or(3600),
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod.name_any(), "uid": pod.uid()},
        },
    });
    let api = Api::<ServiceAccount>::namespaced(client.clone(), &pod.namespace().unwrap());
    let made: Value = api
        .create_subresource("token", account, &PostParams::default(), &request)
        .await
        .map_err(|error| format!("a token of {account}: {error}"))?;
    Ok(made["status"]["token"].as_str().unwrap().to_owned())
}
