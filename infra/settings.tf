# What both programs are told, in the words of the program's own environment (README: settings).
locals {
  _settings = {
    MOORING_STORE              = "google"
    GOOGLE_CLOUD_PROJECT       = var.project
    MOORING_FIRESTORE_DATABASE = google_firestore_database.mooring.name
    MOORING_BUCKET             = google_storage_bucket.snapshots.name
    MOORING_LOG_LEVEL          = var.log_level
  }

  settings_control = merge(local._settings, {
    MOORING_ROLE              = "control"
    MOORING_INBOUND_RECIPIENT = var.inbound_recipient

    # What is per process is shared among as many as there may be. Event streams leave room for other requests within the
    # concurrency of an instance, and Google's front end notes the client's address last.
    MOORING_INSTANCES       = tostring(var.control.instances_max)
    MOORING_STREAMS_MAX     = tostring(local.control_concurrency - 50)
    MOORING_TRUSTED_PROXIES = "1"
  })

  settings_runner = merge(local._settings, {
    MOORING_ROLE      = "runner"
    MOORING_KMS_KEY   = google_kms_crypto_key.sessions.id
    MOORING_WORK_DIR  = local.work_dir
    MOORING_RECONCILE = var.runner.reconcile ? "on" : "off"

    # Cloud Run sets PORT for services only; the probes below need the runner to listen there.
    PORT = "8080"
    }, {
    for name, value in {
      MOORING_EXPORT_RECIPIENTS   = length(var.export_recipients) == 0 ? null : join(",", var.export_recipients)
      MOORING_CAPACITY            = var.runner.capacity
      MOORING_CONNECTS_PER_SECOND = var.runner.connects_per_second
    } : name => tostring(value) if value != null
  })

  # Requests that an instance of control may have at once.
  control_concurrency = 250

  work_dir = "/scratch"

  # Files in memory count against the memory limit. The heap takes up to 65 % of it (see the Dockerfile), the working
  # copies up to 20 %, and the rest is for buffers, code and the sockets themselves.
  work_dir_mib = floor(var.runner.memory_mib * 0.20)
}
