Events are stored and told.
$ kubectl create -f - <<'EOF'
apiVersion: v1
kind: Event
metadata: {name: story}
involvedObject: {apiVersion: v1, kind: ConfigMap, name: settings, namespace: events}
reason: Told
message: a story was told
type: Normal
source: {component: story}
firstTimestamp: "2026-01-01T00:00:00Z"
lastTimestamp: "2026-01-01T00:00:00Z"
count: 3
EOF
$ kubectl get events --no-headers -o custom-columns=REASON:.reason,OBJECT:.involvedObject.name,COUNT:.count
$ kubectl get events.events.k8s.io story -o yaml
$ kubectl events --for configmap/settings | sed 's/^[^ ]*/LAST/; s/over [^)]*/over AGE/'
