output "control_url" {
  description = "Address of the control API."
  value       = google_cloud_run_v2_service.control.uri
}

output "bootstrap_key_command" {
  description = "Prints the bootstrap admin key, for whoever may read the secret."
  value       = "gcloud secrets versions access ${google_secret_manager_secret_version.bootstrap.version} --secret=${google_secret_manager_secret.bootstrap.secret_id} --project=${var.project}"
}

output "deploy_command" {
  description = "Builds and deploys the working directory, for when no trigger does."
  value = join(" ", [
    "gcloud builds submit . --config=cloudbuild.yaml --project=${var.project} --region=${var.region}",
    "--service-account=${google_service_account.deployer.id}",
    "--gcs-source-staging-dir=gs://${google_storage_bucket.builds.name}/source",
    "--substitutions=_NAME=${var.name},_REGION=${var.region},_CONTROL_ACCESS=${var.control_access},COMMIT_SHA=$(git rev-parse HEAD),SHORT_SHA=$(git rev-parse --short=7 HEAD)",
  ])

  # A build that starts before these would fail on its first push or deploy.
  depends_on = [
    google_project_iam_member.deployer,
    google_artifact_registry_repository_iam_member.deployer_pushes,
    google_service_account_iam_member.deployer_acts_as,
    google_storage_bucket_iam_member.deployer_reads_source,
  ]
}

output "logs_command" {
  description = "Prints what the runners said last."
  value       = "gcloud run worker-pools logs read ${google_cloud_run_v2_worker_pool.runner.name} --limit=100 --project=${var.project} --region=${var.region}"
}

output "image_repository" {
  description = "Where images are pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}/mooring"
}

output "snapshots_bucket" {
  description = "Bucket of the snapshots."
  value       = google_storage_bucket.snapshots.name
}

output "database" {
  description = "Firestore database."
  value       = google_firestore_database.mooring.name
}

output "runner_address" {
  description = "The address that runners are seen from, or null without fixed_address."
  value       = one(google_compute_address.egress[*].address)
}

output "dashboard_url" {
  description = "The dashboard in the console."
  value       = "https://console.cloud.google.com/monitoring/dashboards/builder/${element(split("/", google_monitoring_dashboard.fleet.id), 3)}?project=${var.project}"
}
