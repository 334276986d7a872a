apply --prune deletes what is no longer among the manifests of a label.
$ kubectl apply -l app=web -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {app: web}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two, labels: {app: web}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other, labels: {app: other}}
EOF
$ kubectl apply --prune -l app=web --prune-allowlist=core/v1/ConfigMap -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: two, labels: {app: web}}
EOF
$ kubectl get configmaps -l app -o name
