A Pod that fits nowhere says why.
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: Pod
metadata: {name: big}
spec: {containers: [{name: main, image: "app:1", resources: {requests: {cpu: "5000"}}}]}
EOF
$ kubectl wait pod big --for=condition=PodScheduled=false --timeout=60s
$ kubectl get pod big
$ kubectl get pod big -o jsonpath='{.status.conditions[0].reason} {.status.conditions[0].message}'
$ kubectl get events --field-selector involvedObject.name=big,reason=FailedScheduling -o custom-columns=TYPE:.type,MESSAGE:.message | uniq
