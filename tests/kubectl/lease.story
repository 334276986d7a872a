Leases, and what is not a valid one.
$ kubectl apply -f - <<'EOF'
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: leader}
spec: {holderIdentity: me, leaseDurationSeconds: 15, renewTime: "2026-01-01T00:00:00.000000Z"}
EOF
$ kubectl get leases
$ kubectl patch lease leader --type=merge -p '{"spec":{"leaseDurationSeconds":0}}'
$ kubectl patch lease leader --type=merge -p '{"spec":{"renewTime":"yesterday"}}'
$ kubectl patch lease leader --type=merge -p '{"spec":{"holderIdentity":"you","leaseTransitions":1}}'
$ kubectl get leases
