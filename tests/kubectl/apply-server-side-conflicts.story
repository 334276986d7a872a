Conflicts are told per manager and field, of lists by their keys.
$ kubectl apply --server-side --field-manager=first -f - <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web, tier: front}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "app:1", ports: [{containerPort: 80}], env: [{name: A, value: "1"}]}
EOF
$ kubectl apply --server-side --field-manager=second -f - <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: back}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "app:2", env: [{name: A, value: "2"}]}
EOF
$ kubectl scale deployment web --replicas=0
$ kubectl label deployment web tier=middle --overwrite
$ kubectl apply --server-side --field-manager=first -f - <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web, tier: front}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "app:1"}
      - {name: side, image: "side:1"}
EOF
