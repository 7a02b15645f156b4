# The runners: always on, no callers, one hundred per cent of a CPU each. docs/scaling.md says when to add some, and
# docs/deploy.md how to use a service with minimum instances instead, where worker pools are not offered.
resource "google_cloud_run_v2_worker_pool" "runner" {
  project             = var.project
  name                = "${var.name}-runner"
  location            = var.region
  deletion_protection = var.deletion_protection

  scaling {
    scaling_mode          = "MANUAL"
    manual_instance_count = var.runner.instances
  }

  template {
    service_account = google_service_account.runner.email

    containers {
      name  = "runner"
      image = var.image_first

      dynamic "env" {
        for_each = local.settings_runner
        content {
          name  = env.key
          value = env.value
        }
      }

      # Pinned like control's secrets: another identity comes with a deploy, and control's recipient with it.
      env {
        name = "MOORING_INBOUND_IDENTITY"
        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret.inbound.secret_id
            version = google_secret_manager_secret_version.inbound.version
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
          cpu    = tostring(var.runner.cpu)
          memory = "${var.runner.memory_mib}Mi"
        }
      }

      volume_mounts {
        name       = "work"
        mount_path = local.work_dir
      }

      # Ready means that the lease could be renewed, so a revision that can't reach its stores never counts as started.
      # With a fixed address the network may take more than a minute to come up; three minutes leave room for it.
      startup_probe {
        period_seconds    = 3
        timeout_seconds   = 2
        failure_threshold = 60
        http_get {
          path = "/health/ready"
          port = 8080
        }
      }

      # Alive, not ready: a store that is away for a while must not make Cloud Run kill the sockets that still stand.
      liveness_probe {
        period_seconds    = 20
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/health/live"
          port = 8080
        }
      }
    }

    volumes {
      name = "work"
      empty_dir {
        medium     = "MEMORY"
        size_limit = "${local.work_dir_mib}Mi"
      }
    }

    dynamic "vpc_access" {
      for_each = var.fixed_address ? [true] : []
      content {
        egress = "ALL_TRAFFIC"
        network_interfaces {
          network    = google_compute_network.egress[0].name
          subnetwork = google_compute_subnetwork.egress[0].name
        }
      }
    }
  }

  depends_on = [
    google_project_iam_member.database,
    google_kms_crypto_key_iam_member.runner_seals,
    google_kms_crypto_key_iam_member.runner_opens,
    google_secret_manager_secret_iam_member.runner_reads_inbound,
    google_secret_manager_secret_iam_member.reads_content["runner"],
    google_storage_bucket_iam_member.runner_snapshots,
    google_compute_router_nat.egress,
  ]

  lifecycle {
    ignore_changes = [
      client,
      client_version,
      launch_stage,
      instance_splits,
      template[0].annotations,
      template[0].containers[0].image,
      template[0].labels["client.knative.dev/nonce"],
    ]
  }
}
