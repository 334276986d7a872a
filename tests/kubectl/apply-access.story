Accounts, roles and bindings.
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods, pods/log], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot-reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: robot}]
EOF
$ kubectl get serviceaccounts,roles,rolebindings
$ kubectl get rolebindings -o wide
$ kubectl describe role reader
$ kubectl describe rolebinding robot-reads
$ kubectl auth can-i list pods --as=system:serviceaccount:apply-access:robot
$ kubectl auth can-i delete pods --as=system:serviceaccount:apply-access:robot
