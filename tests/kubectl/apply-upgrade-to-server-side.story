From client-side apply to server-side apply, and back.
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue, size: "3"}
EOF
$ kubectl apply --server-side -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: green}
EOF
$ kubectl get configmap settings -o yaml --show-managed-fields
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
EOF
