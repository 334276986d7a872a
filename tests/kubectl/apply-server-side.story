Server-side apply: who owns a field, conflicts, force, and giving up a field.
$ kubectl apply --server-side -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue, size: "3"}
EOF
$ kubectl apply --server-side --field-manager=other -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red, shape: round}
EOF
$ kubectl apply --server-side --field-manager=other --force-conflicts -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red, shape: round}
EOF
$ kubectl apply --server-side -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {size: "4"}
EOF
