One object in the versions of its kind.
$ kubectl create deployment web --image=app:1 --replicas=0
$ kubectl autoscale deployment web --max=5 --cpu-percent=80
$ kubectl get horizontalpodautoscalers.v1.autoscaling web -o jsonpath='{.apiVersion} {.spec}'
$ kubectl get horizontalpodautoscalers.v2.autoscaling web -o jsonpath='{.apiVersion} {.spec}'
$ kubectl apply -f - <<'EOF'
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: old}
spec: {maxReplicas: 4, targetCPUUtilizationPercentage: 60, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: absent}}
EOF
