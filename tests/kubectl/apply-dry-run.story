Trials on the client and on the server change nothing.
$ kubectl apply --dry-run=client -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
EOF
$ kubectl apply --dry-run=server -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
EOF
$ kubectl apply --server-side --dry-run=server -o yaml -f - <<'EOF'
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
EOF
$ kubectl create deployment web --image=app:1 --dry-run=server -o yaml
$ kubectl get configmap settings
$ kubectl get services,deployments
$ kubectl create configmap kept --from-literal=a=1
$ kubectl delete configmap kept --dry-run=server
$ kubectl delete configmap kept --dry-run=client
$ kubectl label configmap kept a=b --dry-run=server
$ kubectl annotate configmap kept a=b --dry-run=client
$ kubectl get configmap kept --show-labels --no-headers
