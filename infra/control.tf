# The control API: stateless, no sockets, may sleep. The pipeline owns the image and the traffic, Terraform the rest.
resource "google_cloud_run_v2_service" "control" {
  project             = var.project
  name                = "${var.name}-control"
  location            = var.region
  deletion_protection = var.deletion_protection
  ingress             = "INGRESS_TRAFFIC_ALL"

  # Switching the check off works where an organisation forbids granting anything to allUsers; Mooring's own keys decide.
  invoker_iam_disabled = var.control_access == "keys"

  # The minimum belongs to the service, not to the revision: an old revision that keeps a tag would keep its instances.
  scaling {
    min_instance_count = var.control.instances_min
  }

  template {
    service_account       = google_service_account.control.email
    execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

    # An event stream is one long request: it closes itself and resumes by Last-Event-ID well before this.
    timeout                          = "3600s"
    max_instance_request_concurrency = local.control_concurrency

    scaling {
      max_instance_count = var.control.instances_max
    }

    containers {
      name  = "control"
      image = var.image_first

      ports {
        container_port = 8080
      }

      dynamic "env" {
        for_each = local.settings_control
        content {
          name  = env.key
          value = env.value
        }
      }

      # Pinned to a version: a new key takes effect with a deploy that one can roll back, not at some cold start.
      env {
        name = "MOORING_ADMIN_KEY"
        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret.bootstrap.secret_id
            version = google_secret_manager_secret_version.bootstrap.version
          }
        }
      }

      env {
        name = "MOORING_KEY_PEPPER"
        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret.pepper.secret_id
            version = google_secret_manager_secret_version.pepper.version
          }
        }
      }

      env {
        name = "MOORING_CONTENT_SECRET"
        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret.content.secret_id
            version = google_secret_manager_secret_version.content.version
          }
        }
      }

      resources {
        limits = {
          cpu    = tostring(var.control.cpu)
          memory = "${var.control.memory_mib}Mi"
        }

        # Said aloud, because the provider's default depends on whether this block exists. CPU is cut between requests
        # while the service may sleep, and kept once at least one instance is paid for anyway.
        cpu_idle          = var.control.instances_min == 0
        startup_cpu_boost = true
      }

      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 60
        http_get {
          path = "/health/live"
          port = 8080
        }
      }

      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/health/live"
          port = 8080
        }
      }
    }
  }

  # Without these permissions the first instance would not start, or would start and answer 500.
  depends_on = [
    google_project_iam_member.database,
    google_secret_manager_secret_iam_member.control_reads_bootstrap,
    google_secret_manager_secret_iam_member.control_reads_pepper,
    google_secret_manager_secret_iam_member.reads_content["control"],
    google_storage_bucket_iam_member.control_transfers,
  ]

  lifecycle {
    ignore_changes = [
      client,
      client_version,
      launch_stage,
      traffic,
      template[0].annotations,
      template[0].containers[0].image,
      template[0].labels["client.knative.dev/nonce"],
    ]
  }
}

resource "google_cloud_run_v2_service_iam_member" "control_invoker" {
  for_each = var.control_access == "iam" ? var.control_invokers : toset([])

  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.control.name
  role     = "roles/run.invoker"
  member   = each.value
}

# The pipeline's smoke test calls the new revision before anybody else does.
resource "google_cloud_run_v2_service_iam_member" "control_smoke_test" {
  count = var.control_access == "iam" ? 1 : 0

  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.control.name
  role     = "roles/run.invoker"
  member   = google_service_account.deployer.member
}
