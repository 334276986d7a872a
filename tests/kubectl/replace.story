replace writes the whole object; --force deletes it first.
$ kubectl create configmap settings --from-literal=colour=blue --from-literal=size=3
$ kubectl get configmap settings -o jsonpath='{.metadata.uid}' > uid
$ kubectl replace -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
EOF
$ test "$(kubectl get configmap settings -o jsonpath='{.metadata.uid}')" = "$(cat uid)" && echo the same object
$ kubectl replace --force -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: green}
EOF
$ test "$(kubectl get configmap settings -o jsonpath='{.metadata.uid}')" = "$(cat uid)" || echo another object
$ kubectl replace -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: absent}
EOF
$ kubectl replace -f - <<'EOF'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, resourceVersion: "1"}
EOF
$ kubectl create service clusterip web --tcp=80
$ kubectl get service web -o yaml | sed 's/port: 80/port: 81/' | kubectl replace -f -
$ kubectl replace -f - <<'EOF'
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 82}]}
EOF
