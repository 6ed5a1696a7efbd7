#!/bin/sh
# Creates the files of a new rule: tests/tools/new-rule.sh camelCaseName. The created rule compiles and passes the tests
# of its fixtures: it forbids containers named "forbidden" until its author writes the check.
set -eu
cd "$(dirname "$0")/../.."
name=${1:-}
if ! printf '%s' "$name" | grep -qxE '[a-z]+([A-Z][a-z0-9]*)+'; then
    echo "name the rule in camelCase, after what it requires: make new-rule NAME=forbidHostAliases" >&2
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

# insert_before FILE TEXT [AFTER]: inserts stdin before the first line of FILE that contains TEXT, after a line that
# contains AFTER.
insert_before() {
    lines=$(cat)
    LINES_TO_INSERT=$lines BEFORE=$2 AFTER=${3:-} awk '
        ENVIRON["AFTER"] == "" || index($0, ENVIRON["AFTER"]) { seen = 1 }
        seen && !inserted && index($0, ENVIRON["BEFORE"]) { print ENVIRON["LINES_TO_INSERT"]; inserted = 1 }
        { print }
        END { exit !inserted }' "$1" > "$1.new" || {
        rm "$1.new"
        printf '%s has no line "%s"; add this by hand:\n%s\n' "$1" "$2" "$lines"
        return
    }
    cat "$1.new" > "$1"
    rm "$1.new"
}

sed -e "s/exampleRule/$name/g" -e "s/example_rule/$snake/g" tests/tools/new-rule.rs.txt > "$rule"

# The modules are in alphabetical order.
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

# The field goes above that of the validations, whose comment and attributes begin after a blank line.
api=src/api/devops_policy.rs
line=$(awk '/^ *$/ { begin = NR + 1 } /pub validations:/ { print begin; exit }' "$api")
{
    head -n "$((line - 1))" "$api"
    cat <<FIELD
            /// TODO: what the field requires, in one sentence. This is its description in the CRD.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $snake: Option<bool>,

FIELD
    tail -n "+$line" "$api"
} > "$api.new"
cat "$api.new" > "$api"
rm "$api.new"
# ClusterDevOpsPolicySpec::rules copies every field that both kinds have, by this list.
printf '            %s,\n' "$snake" | insert_before "$api" '            validations,' 'shared_fields!('

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
Created $rule, $fixtures/{policy,pass,fail}.yaml and $sample,
and added the rule to src/policy/rules.rs, $registry and src/api/devops_policy.rs.
It compiles now: it forbids containers named "forbidden".

Next steps:
  1. $rule: write the check, choose the severity, and write the module comment. The comment is the
     page of the rule: what it requires, why, and how to satisfy it.
  2. src/api/devops_policy.rs: set the type and the description of the field \`$snake\`.
  3. $fixtures: write pods that pass and pods that fail. A failing pod begins with its findings as comments.
     For a rule with a fix, add fixed.yaml: the result of the fix on fail.yaml.
  4. $sample: write the comment.
  5. Run the tests: cargo test --lib -- $snake && cargo test --test offline -- rules::
  6. Run make docs and make chart-docs, which write the pages and the CRDs. Add a line to CHANGELOG.md.
  7. Run make check.
NEXT
