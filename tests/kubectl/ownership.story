Who owns what after update, patch and apply, under names of their own.
$ kubectl create configmap settings --from-literal=a=1 --field-manager=maker
$ kubectl label configmap settings app=web --field-manager=labeller
$ kubectl patch configmap settings -p '{"data":{"b":"2"}}' --field-manager=patcher
$ kubectl annotate configmap settings note=x --field-manager=noter
$ kubectl apply --server-side --field-manager=applier -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1", c: "3"}
EOF
$ kubectl patch configmap settings --type=json -p '[{"op":"remove","path":"/data/b"}]' --field-manager=remover
$ kubectl patch configmap settings --type=merge -p '{"metadata":{"managedFields":[{}]}}' --field-manager=eraser
$ kubectl label configmap settings again=yes --field-manager=after
