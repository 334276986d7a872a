apply over what create made warns, and patches the annotation in.
$ kubectl create configmap settings --from-literal=colour=blue --from-literal=size=3
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
EOF
$ kubectl get configmap settings -o jsonpath='{.data}'
