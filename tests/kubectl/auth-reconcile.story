auth reconcile adds what is missing in roles.
$ kubectl create role reader --verb=get --resource=configmaps
$ kubectl auth reconcile -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: auth-reconcile}
rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: auth-reconcile}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}]
EOF
$ kubectl get role reader -o jsonpath='{.rules}'
