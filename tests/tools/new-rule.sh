#!/bin/sh
# Makes the files that a rule needs: tests/tools/new-rule.sh camelCaseName. The rule that it makes compiles and passes the tests
# of its fixtures; it forbids containers named "forbidden", until its author writes the check.
set -eu
cd "$(dirname "$0")/../.."
name=${1:-}
if ! printf '%s' "$name" | grep -qxE '[a-z]+([A-Z][a-z0-9]*)+'; then
    echo "a rule is named in camelCase, after what it asks: make new-rule NAME=forbidHostAliases" >&2
    exit 2
fi
snake=$(printf '%s' "$name" | sed 's/\([A-Z]\)/_\1/g' | tr '[:upper:]' '[:lower:]')
rule=src/policy/rules/$snake.rs
fixtures=tests/rules/$name
sample=deploy/samples/rules/$name.yaml
for path in "$rule" "$fixtures" "$sample"; do
    if [ -e "$path" ]; then
        echo "$path exists already; choose another name" >&2
        exit 2
    fi
done

# Puts the lines on stdin before the first line of a file that has this text.
insert_before() {
    lines=$(cat)
    grep -qF "$2" "$1" || { echo "$1 has no line \"$2\"; add these lines by hand:"; echo "$lines"; return; }
    LINES_TO_INSERT=$lines BEFORE=$2 awk '
        !inserted && index($0, ENVIRON["BEFORE"]) { print ENVIRON["LINES_TO_INSERT"]; inserted = 1 }
        { print }' "$1" > "$1.new"
    cat "$1.new" > "$1"
    rm "$1.new"
}

sed -e "s/exampleRule/$name/g" -e "s/example_rule/$snake/g" tests/tools/new-rule.rs.txt > "$rule"

# The modules stand by the alphabet.
awk -v added="pub mod $snake;" '
    function plain(line) { sub(/^pub /, "", line); return line }
    !done && /^(pub )?mod / && plain($0) > plain(added) && $0 !~ /testing/ { print added; done = 1 }
    { print }
    END { if (!done) print added }' src/policy/rules.rs > src/policy/rules.rs.new
cat src/policy/rules.rs.new > src/policy/rules.rs
rm src/policy/rules.rs.new

registry=src/policy/registry.rs
printf '    &rules::%s::RULE,\n' "$snake" | insert_before "$registry" '&rules::validations::RULE'
count=$(grep -c '^    &rules::.*::RULE,$' "$registry")
sed "s/^\(pub static RULES: \[&Rule; \)[0-9]*/\1$count/" "$registry" > "$registry.new"
cat "$registry.new" > "$registry"
rm "$registry.new"

insert_before src/api/devops_policy.rs '/// Rules of your own, in CEL.' <<FIELD
            /// TODO: what it asks, in a sentence. This is its description in the CRD.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $snake: Option<bool>,

FIELD

mkdir "$fixtures"
cat > "$fixtures/policy.yaml" <<YAML
apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata:
  name: fixture
spec:
  $name: true
YAML
cat > "$fixtures/pass.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
    - name: web
      image: nginx:1.29
YAML
cat > "$fixtures/fail.yaml" <<YAML
# $name: spec.containers[0].name is "forbidden"; choose another name
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
    - name: forbidden
      image: nginx:1.29
YAML
cat > "$sample" <<YAML
# TODO: what this policy is for.
apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata:
  name: $(printf '%s' "$snake" | tr '_' '-')
  namespace: shop
spec:
  enforcementMode: enforce
  $name: true
YAML

cat <<NEXT
Made $rule, $fixtures/{policy,pass,fail}.yaml and $sample,
and a line each in src/policy/rules.rs, $registry and src/api/devops_policy.rs.

Next:
  1. $rule: write the check and the module comment, which is the rule's page; settle the severity.
  2. src/api/devops_policy.rs: give the field \`$snake\` its type and its description.
  3. $fixtures: pods that pass and pods that fail. A failing pod begins with its findings as comments.
     A rule with a fix also has fixed.yaml, which names what the fix makes of fail.yaml.
  4. cargo test --lib -- $snake && cargo test --test offline -- rules::
  5. make docs, make chart-docs: the pages and the CRDs. Add a line to CHANGELOG.md.
  6. make check
NEXT
