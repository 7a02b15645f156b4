# The deploy: moves both programs to an image that was pushed. Its account may act as the two programs' accounts, since it
# starts them, so it runs one script and nothing else: the text of deploy.sh as Terraform applied it. No source is fetched.
resource "google_service_account" "deployer" {
  project      = var.project
  account_id   = "${var.name}-deployer"
  display_name = "Mooring deploy pipeline"
}

resource "google_project_iam_member" "deployer" {
  for_each = toset(["roles/run.developer", "roles/logging.logWriter"])

  project = var.project
  role    = each.value
  member  = google_service_account.deployer.member
}

# Cloud Run asks whether whoever starts a revision may read its image.
resource "google_artifact_registry_repository_iam_member" "deployer_pulls" {
  project    = var.project
  location   = var.region
  repository = google_artifact_registry_repository.images.repository_id
  role       = "roles/artifactregistry.reader"
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

# Artifact Registry tells the topic "gcr" of every push, in this form: action, digest (repository@sha256:…) and tag
# (https://cloud.google.com/artifact-registry/docs/configure-notifications). The digest is all that the build hands over.
resource "google_cloudbuild_trigger" "deploy" {
  project         = var.project
  location        = var.region
  name            = "${var.name}-deploy"
  description     = "Deploys each image that the build pushes, by its digest."
  service_account = google_service_account.deployer.id

  pubsub_config {
    topic = "projects/${var.project}/topics/gcr"
  }

  # build-image.sh tags an image with its commit; what it pushes as a cache has another tag, and a deletion another action.
  filter = join(" && ", [
    "_ACTION == \"INSERT\"",
    "_TAG.matches(\"^${replace(local._image_repository, ".", "[.]")}:[0-9a-f]{40}$\")",
    "_IMAGE.matches(\"^${replace(local._image_repository, ".", "[.]")}@sha256:[0-9a-f]{64}$\")",
  ])

  substitutions = {
    _ACTION = "$(body.message.data.action)"
    _TAG    = "$(body.message.data.tag)"
    _IMAGE  = "$(body.message.data.digest)"
  }

  approval_config {
    approval_required = var.deploy_approval
  }

  build {
    step {
      id     = "deploy"
      name   = var.step_images.gcloud
      script = file("${path.module}/deploy.sh")
      env = [
        "PROJECT=${var.project}",
        "REGION=${var.region}",
        "NAME=${var.name}",
        "CONTROL_ACCESS=${var.control_access}",
        "REPOSITORY=${local._image_repository}",
        "IMAGE=$_IMAGE",
      ]
    }

    # A build under an account of our own is refused unless its logs have a place.
    options {
      logging = "CLOUD_LOGGING_ONLY"
    }

    timeout = "1800s"
    tags    = ["mooring", "deploy"]
  }

  # A deploy that starts before these would fail in the middle.
  depends_on = [
    google_project_service.api,
    google_project_iam_member.deployer,
    google_artifact_registry_repository_iam_member.deployer_pulls,
    google_service_account_iam_member.deployer_acts_as,
  ]
}
