# The build: installs, checks, tests, and pushes an image. Some 450 packages run in it that nobody here wrote, so its
# account can push to the registry, write its log, and nothing else; it can neither see nor start a program.
resource "google_service_account" "builder" {
  project      = var.project
  account_id   = "${var.name}-builder"
  display_name = "Mooring build pipeline"
}

resource "google_project_iam_member" "builder_logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.builder.member
}

resource "google_artifact_registry_repository_iam_member" "builder_pushes" {
  project    = var.project
  location   = var.region
  repository = google_artifact_registry_repository.images.repository_id
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder.member
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

resource "google_storage_bucket_iam_member" "builder_reads_source" {
  bucket = google_storage_bucket.builds.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.builder.member
}

# The images that cloudbuild.yaml names its steps by. A substitution that is missing makes Cloud Build refuse the build.
locals {
  _build_substitutions = {
    _NAME            = var.name
    _REGION          = var.region
    _NODE_IMAGE      = var.step_images.node
    _DOCKER_IMAGE    = var.step_images.docker
    _BUILDKIT_IMAGE  = var.step_images.buildkit
    _EMULATOR_IMAGE  = var.step_images.emulator
    _TERRAFORM_IMAGE = var.step_images.terraform
  }
}

resource "google_cloudbuild_trigger" "build" {
  count = var.repository == null ? 0 : 1

  project         = var.project
  location        = split("/", var.repository)[3]
  name            = "${var.name}-build"
  description     = "Checks what was pushed to ${var.branch} and pushes its image."
  service_account = google_service_account.builder.id
  filename        = "cloudbuild.yaml"

  # A change to the infrastructure or to words only is no reason to restart every session.
  ignored_files = ["docs/**", "infra/*.tf", "infra/*.tfvars", "infra/*.tfvars.json", "infra/deploy.sh", "cloudbuild.terraform.yaml", "*.md"]

  repository_event_config {
    repository = var.repository
    push {
      branch = "^${replace(var.branch, ".", "\\.")}$"
    }
  }

  substitutions = local._build_substitutions
}
