A StatefulSet's rollout, its Pods in order.
$ cat > store.yaml <<'EOF'
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  replicas: 2
  serviceName: store
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec: {containers: [{name: main, image: "app:1"}]}
EOF
$ kubectl apply -f store.yaml
$ kubectl rollout status statefulset store --timeout=60s | tail -n 1
$ kubectl get pods
$ kubectl set image statefulset store main=app:2
$ kubectl rollout status statefulset store --timeout=60s | tail -n 1
$ kubectl get pods -o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[0].image
$ kubectl rollout history statefulset store
$ kubectl scale statefulset store --replicas=1
$ kubectl wait pod store-1 --for=delete --timeout=60s >/dev/null
$ kubectl wait statefulset store --for=jsonpath='{.status.replicas}'=1 --timeout=60s >/dev/null
$ kubectl get statefulset store
