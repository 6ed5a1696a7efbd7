//! The variables that every compiled policy has: the pod of the object, with its containers, security contexts and
//! images, and the pod before an update.
//!
//! `variables.ctx` has a map for each pod: first the new one, then, where updates are compared, the old one. Its keys:
//! `old` (whether it is the old pod), `spec`, `labels`, `ann` (annotations), `cs` (containers), `scs` (security
//! contexts) and, where they are needed, `img` (images). An element of a list has `at`, the path from the object's
//! root; `pt`, the same without the place in the list; `n`, the container's name; and `im`, its image in canonical form.

use super::super::object::MAX_ITEMS;
use super::expression::text;

/// A variable of a policy.
pub struct Variable {
    pub name: String,
    pub expression: String,
}

pub fn variable(name: impl Into<String>, expression: impl Into<String>) -> Variable {
    Variable { name: name.into(), expression: expression.into() }
}

/// What the variables must offer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// Parsed images.
    pub images: bool,
    /// The canonical image of each container.
    pub canonical: bool,
    /// The old template of an update, beside the old pod.
    pub old_templates: bool,
}

/// By the kind of the request: of a pod, a PodTemplate, a CronJob, or any other.
fn by_kind(pod: &str, pod_template: &str, cron_job: &str, other: &str) -> String {
    format!(
        "request.kind.kind == 'Pod' ? {pod} : request.kind.kind == 'PodTemplate' ? {pod_template} : \
         request.kind.kind == 'CronJob' ? {cron_job} : {other}"
    )
}

/// The pod or template in an object.
pub fn pod_in(object: &str) -> String {
    by_kind(
        &format!("dyn({object})"),
        &format!("dyn({object}).template"),
        &format!("dyn({object}).spec.jobTemplate.spec.template"),
        &format!("dyn({object}).spec.template"),
    )
}

/// A condition that is true unless an update leaves the template as it was.
pub fn is_changed() -> String {
    let same = by_kind(
        "false",
        "dyn(object).template == dyn(oldObject).template",
        "dyn(object).spec.jobTemplate.spec.template == dyn(oldObject).spec.jobTemplate.spec.template",
        "dyn(object).spec.template == dyn(oldObject).spec.template",
    );
    format!("request.operation == 'CREATE' || !({same})")
}

/// A list of the spec of the pod `p`; empty if it is absent, or null as the API server's own types write no containers.
fn items(list: &str) -> String {
    format!("[p.spec.?{list}.orValue(null)].map(l, l == null ? dyn([]) : l)[0]")
}

/// The elements of a container list.
fn containers(list: &str, role: &str) -> String {
    format!(
        "{}.transformList(i, c, {{'at': dyn(variables.at + 'spec.{list}[' + string(i) + '].'), \
         'pt': dyn(variables.at + 'spec.{list}[].'), 'role': dyn({role}), 'n': c.name, 'c': c, \
         'sc': c.?securityContext.orValue(dyn({{}}))}})",
        items(list),
    )
}

pub fn variables(needs: Needs) -> Vec<Variable> {
    let compared = if needs.old_templates { "" } else { " && request.kind.kind == 'Pod'" };
    let lists = [
        containers(
            "initContainers",
            "c.?restartPolicy.orValue('') == 'Always' ? 'sidecar' : 'init'",
        ),
        containers("containers", "'app'"),
        containers("ephemeralContainers", "'ephemeral'"),
    ];
    let mut all = vec![
        variable(
            "at",
            by_kind("''", "'template.'", "'spec.jobTemplate.spec.template.'", "'spec.template.'"),
        ),
        variable(
            "pods",
            format!(
                "request.operation == 'UPDATE'{compared} ? [{}, {}] : [{}]",
                pod_in("object"),
                pod_in("oldObject"),
                pod_in("object")
            ),
        ),
        variable("raw", format!("variables.pods.map(p, {})", lists.join(" + "))),
    ];
    if needs.images || needs.canonical {
        all.extend(images());
    }
    let containers = if needs.canonical {
        all.push(variable(
            "canon",
            "variables.img.map(l, l.transformMapEntry(k, y, {y.at: y.im}))",
        ));
        "variables.raw.transformList(k, l, l.map(x, {'at': x.at, 'pt': x.pt, 'role': x.role, 'n': x.n, 'c': x.c, \
         'sc': x.sc, 'im': dyn(variables.canon[k][x.at + 'image'])}))"
    } else {
        "variables.raw"
    };
    all.push(variable("cs", containers));
    let (no_image, image) =
        if needs.canonical { (", 'im': dyn('')", ", 'im': x.im") } else { ("", "") };
    let parsed = if needs.images { ", 'img': dyn(variables.img[k])" } else { "" };
    all.push(variable(
        "ctx",
        format!(
            "variables.pods.transformList(k, p, {{'old': dyn(k > 0), 'spec': p.spec, \
             'labels': p.?metadata.?labels.orValue(dyn({{}})), 'ann': p.?metadata.?annotations.orValue(dyn({{}})), \
             'cs': dyn(variables.cs[k]){parsed}, 'scs': dyn(p.spec.?securityContext.hasValue() ? \
             [{{'at': dyn(variables.at + 'spec.securityContext.'), 'pt': dyn(variables.at + 'spec.securityContext.'), \
             'n': dyn(''), 'sc': p.spec.securityContext{no_image}}}] : []) + \
             dyn(variables.cs[k].filter(x, has(x.c.securityContext)).map(x, \
             {{'at': dyn(x.at + 'securityContext.'), 'pt': dyn(x.pt + 'securityContext.'), 'n': x.n, 'sc': x.sc{image}}}))}})"
        ),
    ));
    all
}

/// Whether each pod has more containers or volumes than are judged: then its lists are not looked at.
pub fn is_large() -> Variable {
    let longer = |list: &str| format!("size({}) > {MAX_ITEMS}", items(list));
    let lists = ["initContainers", "containers", "ephemeralContainers", "volumes"].map(longer);
    variable("large", format!("variables.pods.map(p, {})", lists.join(" || ")))
}

/// The longest image that is parsed, in characters: no image that could run is longer, and only why it is none may differ.
const MAX_IMAGE: usize = 4096;

/// The images of a pod, parsed step by step as [`super::super::image::ImageReference`] does. `bad` is why it is none.
fn images() -> [Variable; 4] {
    const DOMAIN: &str = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
    const COMPONENT: &str = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*";
    let host = format!(r"^(?:{DOMAIN}(?:\.{DOMAIN})*(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?)$");
    let path = format!("^{COMPONENT}(?:/{COMPONENT})*$");
    let bad = [
        ("x.i == ''".to_owned(), "it is empty"),
        (format!("x.i.matches({})", text(r"[ \t\n\f\r]")), "it has white space"),
        ("size(bytes(x.name)) > 255".to_owned(), "its name is longer than 255 characters"),
        (format!("x.host != '' && !x.host.matches({})", text(&host)), "its registry host is malformed"),
        ("x.path.matches('[A-Z]')".to_owned(), "its repository must be lower case"),
        (format!("!x.path.matches({})", text(&path)), "its repository is malformed"),
        (
            "x.tagged && !x.tag.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$')".to_owned(),
            "its tag is malformed",
        ),
        (
            "x.i.contains('@') && !x.i.matches('^[^@]*@(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$')"
                .to_owned(),
            "its digest is malformed",
        ),
    ];
    let bad = bad.iter().rev().fold(text(""), |rest, (condition, reason)| {
        format!("{condition} ? {} : {rest}", text(reason))
    });
    let short = |image: &str| {
        format!("(size({image}) > {MAX_IMAGE} ? {image}.substring(0, {MAX_IMAGE}) : {image})")
    };
    let hub = "(x.host == '' || x.host.lowerAscii() in ['docker.io', 'index.docker.io'])";
    [
        variable(
            "img1",
            format!(
                "variables.raw.transformList(k, l, (l.map(x, {{'at': dyn(x.at + 'image'), 'pt': dyn(x.pt + 'image'), \
                 'n': x.n, 'i': dyn({})}}) + variables.pods[k].spec.?volumes.orValue([]).transformList(j, v, has(v.image), \
                 {{'at': dyn(variables.at + 'spec.volumes[' + string(j) + '].image.reference'), \
                 'pt': dyn(variables.at + 'spec.volumes[].image.reference'), 'n': dyn(''), 'i': dyn({})}})).map(x, \
                 {{'at': x.at, 'pt': x.pt, 'n': x.n, 'i': x.i, \
                 'rest': dyn(x.i.contains('@') ? x.i.substring(0, x.i.indexOf('@')) : x.i)}}))",
                short("x.c.?image.orValue('')"),
                short("v.image.?reference.orValue('')"),
            ),
        ),
        variable(
            "img2",
            "variables.img1.map(l, l.map(x, x.rest.lastIndexOf(':') > x.rest.lastIndexOf('/') ? \
             {'at': x.at, 'pt': x.pt, 'n': x.n, 'i': x.i, 'tagged': dyn(true), \
             'name': dyn(x.rest.substring(0, x.rest.lastIndexOf(':'))), \
             'tag': dyn(x.rest.substring(x.rest.lastIndexOf(':') + 1))} : \
             {'at': x.at, 'pt': x.pt, 'n': x.n, 'i': x.i, 'tagged': dyn(false), 'name': x.rest, 'tag': dyn('')}).map(x, \
             [x.name.matches('^localhost/|^[^/]*[.:A-Z][^/]*/') ? x.name.indexOf('/') : -1].map(at, \
             {'at': x.at, 'pt': x.pt, 'n': x.n, 'i': x.i, 'tagged': x.tagged, 'name': x.name, 'tag': x.tag, \
             'host': dyn(at < 0 ? '' : x.name.substring(0, at)), 'path': dyn(x.name.substring(at + 1))})[0]))",
        ),
        variable(
            "img3",
            format!(
                "variables.img2.map(l, l.map(x, {{'at': x.at, 'pt': x.pt, 'n': x.n, 'i': x.i, 'tagged': x.tagged, \
                 'name': x.name, 'tag': x.tag, 'pinned': dyn(x.i.contains('@')), 'bad': dyn({bad}), \
                 'reg': dyn({hub} ? 'docker.io' : x.host), \
                 'repo': dyn({hub} && !x.path.contains('/') ? 'library/' + x.path : x.path)}}))"
            ),
        ),
        variable(
            "img",
            "variables.img3.map(l, l.map(x, {'at': x.at, 'pt': x.pt, 'n': x.n, 'i': x.i, 'tagged': x.tagged, \
             'name': x.name, 'tag': x.tag, 'pinned': x.pinned, 'bad': x.bad, 'reg': x.reg, 'repo': x.repo, \
             'im': dyn(x.bad != '' ? x.i : x.reg.lowerAscii() + '/' + x.repo + (x.tagged ? ':' + x.tag : '') + \
             (x.pinned ? x.i.substring(x.i.indexOf('@')) : ''))}))",
        ),
    ]
}
