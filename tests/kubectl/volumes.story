Volumes and claims.
$ kubectl apply -f - <<'EOF'
apiVersion: v1
kind: PersistentVolume
metadata: {name: story-volume}
spec: {capacity: {storage: 2Gi}, accessModes: [ReadWriteOnce], storageClassName: story-class, hostPath: {path: /tmp/story}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: story-class, resources: {requests: {storage: 1Gi}}}
EOF
$ kubectl wait persistentvolumeclaim data --for=jsonpath='{.status.phase}'=Bound --timeout=60s
$ kubectl get persistentvolumeclaims
$ kubectl get persistentvolume story-volume
$ kubectl patch persistentvolumeclaim data -p '{"spec":{"resources":{"requests":{"storage":"500Mi"}}}}'
$ kubectl delete persistentvolumeclaim data --timeout=60s
$ kubectl wait persistentvolume story-volume --for=jsonpath='{.status.phase}'=Released --timeout=60s
$ kubectl delete persistentvolume story-volume --timeout=60s
