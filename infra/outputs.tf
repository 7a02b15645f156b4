output "control_url" {
  description = "Address of the control API."
  value       = google_cloud_run_v2_service.control.uri
}

output "bootstrap_key_command" {
  description = "Prints the bootstrap admin key, for whoever may read the secret."
  value       = "gcloud secrets versions access ${google_secret_manager_secret_version.bootstrap.version} --secret=${google_secret_manager_secret.bootstrap.secret_id} --project=${var.project}"
}

output "build_command" {
  description = "Builds the working directory and pushes its image, which starts the deploy, for when no trigger builds."
  value = join(" ", [
    "gcloud builds submit . --config=cloudbuild.yaml --project=${var.project} --region=${var.region}",
    "--service-account=${google_service_account.builder.id}",
    "--gcs-source-staging-dir=gs://${google_storage_bucket.builds.name}/source",
    "--substitutions=${join(",", [for name, value in local._build_substitutions : "${name}=${value}"])},COMMIT_SHA=$(git rev-parse HEAD)",
  ])

  # A build that starts before these would fail on its first push, or be pushed to nobody.
  depends_on = [
    google_project_iam_member.builder_logs,
    google_artifact_registry_repository_iam_member.builder_pushes,
    google_storage_bucket_iam_member.builder_reads_source,
    google_cloudbuild_trigger.deploy,
  ]
}

output "logs_command" {
  description = "Prints what the runners said last."
  value       = "gcloud logging read 'resource.type=(\"cloud_run_worker_pool\" OR \"cloud_run_revision\") AND jsonPayload.component=\"runner\"' --limit=100 --project=${var.project}"
}

output "image_repository" {
  description = "Where images are pushed to."
  value       = local._image_repository
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
