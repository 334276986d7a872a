The ways to print what is there.
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {app: web, tier: front}}
data: {colour: red, size: "2"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, labels: {app: web, tier: back}}
data: {colour: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: a, labels: {app: web}}
stringData: {password: secret}
EOF
$ kubectl get configmaps -l app
$ kubectl get configmap a b --no-headers
$ kubectl get configmaps -l app=web --show-labels
$ kubectl get configmaps -l app=web -L tier
$ kubectl get configmaps,secrets -l app=web
$ kubectl get configmaps,secrets -l app=web -o name
$ kubectl get configmap/a secret/a -o wide
$ kubectl get configmap a -o yaml
$ kubectl get configmap a -o json
$ kubectl get secret a -o jsonpath='{.data.password}'
$ kubectl get configmaps -l app=web -o jsonpath='{range .items[*]}{.metadata.name}{"\t"}{.data.colour}{"\n"}{end}'
$ kubectl get configmaps -l app=web -o jsonpath-as-json='{.items[*].data}'
$ kubectl get configmaps -l app=web -o custom-columns=NAME:.metadata.name,COLOUR:.data.colour,SIZE:.data.size
$ kubectl get configmaps -l app=web -o go-template='{{range .items}}{{.metadata.name}} {{end}}'
$ kubectl get configmaps -l app=web -o yaml
$ kubectl get configmap a c
$ kubectl get configmap c --ignore-not-found
$ kubectl get nothings
$ kubectl get pods
