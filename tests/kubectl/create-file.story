create -f makes what is in a file once.
$ cat > pair.yaml <<'EOF'
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: one}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: two}
EOF
$ kubectl create -f pair.yaml
$ kubectl create -f pair.yaml
$ kubectl create -f pair.yaml -o name --dry-run=client
$ kubectl create --raw /api/v1/namespaces/create-file/configmaps -f pair.yaml
$ kubectl create -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {generateName: made-}
EOF
$ kubectl create -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: elsewhere, namespace: absent}
EOF
$ kubectl create -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
data: {a: b}
EOF
$ kubectl delete -f pair.yaml
$ kubectl delete -f pair.yaml
$ kubectl delete -f pair.yaml --ignore-not-found
