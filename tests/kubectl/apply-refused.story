Mistakes in manifests: what is said, and that nothing is stored.
$ kubectl apply -f - <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replica: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "app:1", imagePolicy: Always}]}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: three
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "app:1"}]}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: Main_, image: "app:1"}]}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: Not_A_Name}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: Confgmap
metadata: {name: a}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80, name: a}, {port: 80, name: a}, {port: 70000}]}
EOF
$ kubectl apply -f absent.yaml
$ kubectl apply --validate=ignore -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: lenient}
data: {a: b}
unknown: field
EOF
$ kubectl apply --validate=warn -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: warned}
data: {a: b}
unknown: field
EOF
