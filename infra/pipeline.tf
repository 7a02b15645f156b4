# The deploy pipeline: builds, pushes, and moves revisions. It may act as the two programs' accounts, since it starts them,
# but it has no permission on the data itself.
resource "google_service_account" "deployer" {
  project      = var.project
  account_id   = "${var.name}-deployer"
  display_name = "Mooring deploy pipeline"
}

locals {
  _deployer_roles = ["roles/run.developer", "roles/logging.logWriter"]
}

resource "google_project_iam_member" "deployer" {
  for_each = toset(local._deployer_roles)

  project = var.project
  role    = each.value
  member  = google_service_account.deployer.member
}

resource "google_artifact_registry_repository_iam_member" "deployer_pushes" {
  project    = var.project
  location   = var.region
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.deployer.member
}

resource "google_service_account_iam_member" "deployer_acts_as" {
  for_each = {
    control = google_service_account.control.name
    runner  = google_service_account.runner.name
  }

  service_account_id = each.value
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.deployer.member
}

# Where "gcloud builds submit" puts the source. A bucket of our own lets the account read this one and no other.
resource "google_storage_bucket" "builds" {
  project  = var.project
  name     = "${var.project}-${var.name}-builds"
  location = var.region

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = 7
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_storage_bucket_iam_member" "deployer_reads_source" {
  bucket = google_storage_bucket.builds.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.deployer.member
}

resource "google_cloudbuild_trigger" "deploy" {
  count = var.repository == null ? 0 : 1

  project         = var.project
  location        = split("/", var.repository)[3]
  name            = "${var.name}-deploy"
  description     = "Checks, builds and deploys what was pushed to ${var.branch}."
  service_account = google_service_account.deployer.id
  filename        = "cloudbuild.yaml"

  # A change to the infrastructure or to words only is no reason to restart every session.
  ignored_files = ["docs/**", "infra/*.tf", "infra/*.tfvars", "cloudbuild.terraform.yaml", "*.md"]

  repository_event_config {
    repository = var.repository
    push {
      branch = "^${replace(var.branch, ".", "\\.")}$"
    }
  }

  substitutions = {
    _NAME           = var.name
    _REGION         = var.region
    _CONTROL_ACCESS = var.control_access
  }
}
