Nodes: labels, taints, cordon.
$ kubectl create -f - <<'EOF'
apiVersion: v1
kind: Node
metadata: {name: story-node, labels: {zone: a}}
EOF
$ kubectl taint nodes story-node dedicated=web:NoSchedule
$ kubectl taint nodes story-node dedicated=other:NoSchedule
$ kubectl taint nodes story-node dedicated=other:NoSchedule --overwrite
$ kubectl taint nodes story-node dedicated:NoSchedule-
$ kubectl taint nodes story-node nothing-
$ kubectl taint nodes story-node a=b:Never
$ kubectl cordon story-node
$ kubectl cordon story-node
$ kubectl uncordon story-node
$ kubectl label node story-node zone=b --overwrite
$ kubectl get nodes -l zone=b --show-labels --no-headers
$ kubectl get nodes node-1 node-2
$ kubectl cordon absent
$ kubectl delete node story-node
