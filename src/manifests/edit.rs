//! Applies a JSON Patch to a text. Only the patched values change; comments, field order and quoting stay as written.

use std::cmp::Reverse;

use json_patch::jsonptr::Pointer;
use json_patch::{AddOperation, PatchOperation, ReplaceOperation};
use serde_json::{Value, json};

use super::documents;
use super::node::{Content, Form, Node};

/// Replaces the bytes from `start` to `end`.
#[derive(Clone, Debug)]
pub struct Edit {
    start: usize,
    end: usize,
    /// How many path segments the value has. At the end of nested maps, the inner map's edit comes first.
    depth: usize,
    replacement: String,
}

/// Makes every edit. Edits must not overlap; edits at the same byte keep their order.
pub fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| (edit.start, Reverse(edit.depth)));
    let mut edited = String::with_capacity(text.len() + 1024);
    let mut done = 0;
    for Edit { start, end, replacement, .. } in edits {
        edited.push_str(text.get(done..start).unwrap_or_default());
        edited.push_str(&replacement);
        done = end.max(done);
    }
    edited.push_str(text.get(done..).unwrap_or_default());
    edited
}

/// Makes every edit, and reads the result again. `None` if it does not decode to these objects: an anchor has carried a
/// change to another value.
pub fn checked(text: &str, edits: Vec<Edit>, expected: &[Value]) -> Option<String> {
    let edited = apply(text, edits);
    let read = documents::read(&edited).flatten().map(|object| object.node.to_json());
    let same = read.eq(expected.iter().cloned());
    same.then_some(edited)
}

/// The edits that have the effect of a patch on an object. `None` if an alias (`*name`) stands for a patched value: the
/// edit would then change other values too.
pub fn edits(text: &str, object: &Node<'_>, operations: &[PatchOperation]) -> Option<Vec<Edit>> {
    let folded = folded(operations)?;
    folded.iter().map(|(path, value)| edit(text, object, path, value)).collect()
}

/// The path and value of each operation. An operation inside a value that an earlier one adds is folded into that
/// value, because only the outer one has a position in the text.
fn folded(operations: &[PatchOperation]) -> Option<Vec<(&Pointer, Value)>> {
    let mut folded: Vec<(&Pointer, Value)> = Vec::new();
    for operation in operations {
        let (path, value) = match operation {
            PatchOperation::Add(AddOperation { path, value })
            | PatchOperation::Replace(ReplaceOperation { path, value }) => (path.as_ptr(), value),
            _ => return None,
        };
        let around = folded.iter_mut().find_map(|(outer, whole)| {
            path.strip_prefix(outer).filter(|rest| !rest.is_root()).map(|rest| (rest, whole))
        });
        match around {
            None => folded.push((path, value.clone())),
            Some((rest, whole)) => {
                let add = AddOperation { path: rest.to_buf(), value: value.clone() };
                json_patch::patch(whole, &[PatchOperation::Add(add)]).ok()?;
            }
        }
    }
    Some(folded)
}

fn edit(text: &str, object: &Node<'_>, path: &Pointer, value: &Value) -> Option<Edit> {
    let (parent, last) = path.split_back()?;
    let mut node = object;
    for token in parent {
        if node.form == Form::Alias {
            return None;
        }
        node = match &node.content {
            Content::Map(_) => node.get(&token.decoded())?,
            Content::List(items) => items.get(token.decoded().parse::<usize>().ok()?)?,
            Content::Scalar(_) => return None,
        };
    }
    if node.form == Form::Alias {
        return None;
    }
    let key = last.decoded();
    let depth = path.count();
    let insert = |at: usize, replacement| Edit { start: at, end: at, depth, replacement };
    match (&node.content, node.get(&key)) {
        (_, Some(old)) if old.form == Form::Alias => None,
        (Content::Map(_), Some(old)) if old.start < old.end && old.form == Form::Flow => {
            let replacement = inline(value, text.get(old.start..)?);
            Some(Edit { start: old.start, end: old.end, depth, replacement })
        }
        // Lines below the key. A comment among them would be lost, or stand beside something else.
        (Content::Map(_), Some(old)) if old.start < old.end => {
            let start = block_start(text, old)?;
            let before = text.get(..start)?.trim_end();
            let end = text.get(..old.end)?.trim_end().len();
            let lines = text.get(before.len()..line_end(text, end))?;
            let empty = matches!(value, Value::Array(items) if items.is_empty());
            if lines.contains('#') || empty && !before.ends_with(':') {
                return None;
            }
            let indent = start - text.get(..start)?.rfind('\n')? - 1;
            let replacement = if empty { " []".to_owned() } else { block(value, indent)? };
            Some(Edit { start: before.len(), end, depth, replacement })
        }
        // `key:` with nothing after it.
        (Content::Map(entries), Some(_)) => {
            let entry = entries.iter().find(|entry| entry.key == key)?;
            let line = line_end(text, entry.value.start);
            let indent = usize::try_from(entry.key_at.column).ok()? + 1;
            let replacement = block(value, indent)?;
            Some(insert(line, replacement))
        }
        (Content::Map(entries), None) if node.form == Form::Block => {
            let first = entries.first()?;
            let indent = usize::try_from(first.key_at.column).ok()?.checked_sub(1)?;
            let line = line_end(text, node.end.saturating_sub(1).max(node.start));
            let replacement = block(&json!({ &*key: value }), indent)?;
            Some(insert(line, replacement))
        }
        (Content::Map(entries), None) => {
            let separator = if entries.is_empty() { "" } else { ", " };
            let replacement = format!("{separator}{}: {value}", Value::String(key.into_owned()));
            let end = node.end.checked_sub(1)?;
            // Before the closing bracket, and before the space in front of it.
            let before = text.get(..end)?.trim_end().len();
            Some(insert(before, replacement))
        }
        _ => None,
    }
}

/// The first byte of a value below its key. The parser places a list that is not indented after its first dash.
fn block_start(text: &str, node: &Node<'_>) -> Option<usize> {
    let after_dash =
        matches!(node.content, Content::List(_)) && !text.get(node.start..)?.starts_with('-');
    if after_dash {
        text.get(..node.start)?.trim_end().strip_suffix('-').map(str::len)
    } else {
        Some(node.start)
    }
}

/// A value within a line. A string has no quotes if it needs none and the old value had none.
fn inline(value: &Value, old: &str) -> String {
    let quoted = old.starts_with(['"', '\'']);
    let plain = value.as_str().filter(|_| !quoted);
    let plain = plain.and_then(|text| serde_saphyr::to_string(&text).ok());
    let plain = plain.map(|yaml| yaml.trim_end().to_owned());
    plain
        .filter(|yaml| !yaml.contains(['\n', ',', '[', ']', '{', '}']))
        .unwrap_or_else(|| value.to_string())
}

/// The end of the line that contains a byte.
fn line_end(text: &str, byte: usize) -> usize {
    let rest = text.get(byte..).unwrap_or_default();
    byte + rest.find('\n').unwrap_or(rest.len())
}

/// A value as lines of YAML, each after a line break and `indent` spaces.
fn block(value: &Value, indent: usize) -> Option<String> {
    let yaml = serde_saphyr::to_string(value).ok()?;
    let mut block = String::new();
    for line in yaml.trim_end().lines() {
        block.extend(std::iter::once('\n').chain(std::iter::repeat_n(' ', indent)));
        block.push_str(line);
    }
    Some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text after a patch. Asserts that it decodes to the patched object.
    fn patched(text: &str, patch: Value) -> Option<String> {
        let operations: Vec<PatchOperation> = serde_json::from_value(patch).unwrap();
        let read = |text: &str| documents::read(text).next().unwrap().unwrap().node.to_json();
        let object = documents::read(text).next().unwrap().unwrap();
        let edited = apply(text, edits(text, &object.node, &operations)?);
        let mut expected = read(text);
        json_patch::patch(&mut expected, &operations).unwrap();
        assert_eq!(read(&edited), expected, "{edited}");
        Some(edited)
    }

    const POD: &str = "\
# A pod of the shop.
kind: Pod
spec:
  containers:
    # The server.
    - name: web   # its name
      image: \"nginx\"  # pinned later
      resources:
      env: [{name: A, value: b}]
    - {name: log, image: log:1 }
  hostNetwork: false

# The end.
";

    #[test]
    fn only_what_the_patch_names_changes() {
        let patch = json!([
            {"op": "replace", "path": "/spec/containers/0/image", "value": "nginx:1.29"},
            {"op": "add", "path": "/spec/containers/0/resources", "value": {"limits": {"memory": "1Gi"}}},
            {"op": "add", "path": "/spec/containers/0/resources/limits/cpu", "value": "1"},
            {"op": "add", "path": "/spec/containers/0/securityContext", "value": {"capabilities": {"drop": ["ALL"]}}},
            {"op": "add", "path": "/spec/containers/1/securityContext", "value": {"privileged": false}},
            {"op": "add", "path": "/spec/securityContext", "value": {"runAsNonRoot": true}},
        ]);
        insta::assert_snapshot!(patched(POD, patch).unwrap(), @r#"
        # A pod of the shop.
        kind: Pod
        spec:
          containers:
            # The server.
            - name: web   # its name
              image: "nginx:1.29"  # pinned later
              resources:
                limits:
                  cpu: "1"
                  memory: 1Gi
              env: [{name: A, value: b}]
              securityContext:
                capabilities:
                  drop:
                  - ALL
            - {name: log, image: log:1, "securityContext": {"privileged":false} }
          hostNetwork: false
          securityContext:
            runAsNonRoot: true

        # The end.
        "#);
    }

    #[test]
    fn lines_below_a_key_are_replaced_and_comments_stay_or_forbid_it() {
        let text = "kind: A\nrules:  # all\n  - one\n  - two\n\n# The end.\nb:\n- c: d\nc: # -\n- e\n- f\n";
        let patch = json!([
            {"op": "replace", "path": "/rules", "value": ["three"]},
            {"op": "replace", "path": "/b", "value": []},
            {"op": "replace", "path": "/c", "value": ["g"]},
        ]);
        let edited = patched(text, patch).unwrap();
        assert_eq!(edited, "kind: A\nrules:  # all\n  - three\n\n# The end.\nb: []\nc: # -\n- g\n");
        let replace = |value: Value| json!([{"op": "replace", "path": "/rules", "value": value}]);
        assert_eq!(patched(text, replace(json!([]))), None);
        for text in ["rules:\n- one  # why\nkind: A\n", "kind: A\nrules:\n- one\n# why\n- two\n"] {
            assert_eq!(patched(text, replace(json!(["three"]))), None, "{text}");
        }
    }

    #[test]
    fn json_stays_json() {
        let text = "{\"kind\": \"Pod\", \"spec\": {\"containers\": [{\"name\": \"web\"}], \"labels\": {}}}";
        let patch = json!([
            {"op": "add", "path": "/spec/containers/0/image", "value": "nginx:1.29"},
            {"op": "add", "path": "/spec/labels/a.b~1c", "value": "x"},
            {"op": "replace", "path": "/kind", "value": "PodTemplate"},
        ]);
        let edited = patched(text, patch).unwrap();
        serde_json::from_str::<Value>(&edited).unwrap();
    }

    #[test]
    fn a_value_behind_an_alias_is_not_edited() {
        let text =
            "kind: Pod\nbase: &base {image: nginx}\nspec:\n  one: *base\n  two:\n    <<: *base\n";
        let replace = |path: &str| json!([{"op": "replace", "path": path, "value": "nginx:1.29"}]);
        assert_eq!(patched(text, replace("/spec/one/image")), None);
        assert_eq!(patched(text, replace("/spec/two/image")), None);
    }

    #[test]
    fn a_text_block_at_the_end_and_a_missing_last_line_break_are_handled() {
        let patch = json!([{"op": "add", "path": "/b", "value": 1}, {"op": "add", "path": "/a/y", "value": 2}]);
        for text in [
            "kind: A\na:\n  x: |\n    one\n    two\n",
            "kind: A\na:\n  x: 1",
            "kind: A\na:\n  x:\n  - 1\n  - 2\n\n\n# end\n",
        ] {
            patched(text, patch.clone()).unwrap();
        }
    }
}
