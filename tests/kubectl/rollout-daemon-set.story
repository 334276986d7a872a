A DaemonSet's rollout and its history.
$ cat > agent.yaml <<'EOF'
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      nodeSelector: {kubernetes.io/hostname: node-1}
      containers: [{name: main, image: "app:1"}]
EOF
$ kubectl apply -f agent.yaml
$ kubectl rollout status daemonset agent --timeout=60s
$ kubectl set image daemonset agent main=app:2
$ kubectl rollout status daemonset agent --timeout=60s
$ kubectl rollout history daemonset agent
$ kubectl rollout history daemonset agent --revision=2
$ kubectl rollout undo daemonset agent
$ kubectl rollout status daemonset agent --timeout=60s
$ kubectl get daemonset agent -o wide
