diff tells what apply would change, by its exit code too.
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
EOF
$ kubectl diff -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
EOF
$ kubectl diff --server-side -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
EOF
$ kubectl diff -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
EOF
$ kubectl diff -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: fresh}
data: {colour: blue}
EOF
$ kubectl diff -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
colour: blue
EOF
