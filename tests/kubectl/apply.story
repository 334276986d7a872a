apply creates, configures and leaves unchanged; what a manifest no longer has is removed.
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: blue, size: "3"}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: blue, size: "3"}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, annotations: {note: new}}
data: {colour: red}
EOF
$ kubectl get configmap settings -o yaml
$ kubectl apply view-last-applied configmap settings
