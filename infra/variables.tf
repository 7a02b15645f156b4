variable "project" {
  description = "Project that everything is created in. One Mooring per project: log-based metrics and alerts look at the whole project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "The project must be a project id (6 to 30 lower-case letters, digits and hyphens), not its name or number."
  }
}

variable "region" {
  description = "Region of Cloud Run, the registry, the bucket, the key ring and (unless said otherwise) the database."
  type        = string
  default     = "us-central1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "The region must be a Google Cloud region such as us-central1 or europe-west1."
  }
}

variable "name" {
  description = "First part of every name that is created."
  type        = string
  default     = "mooring"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.name))
    error_message = "The name must be 3 to 16 lower-case letters, digits and hyphens, because service account names made from it may have 30."
  }
}

variable "firestore_location" {
  description = "Location of the database, when it should not be the region (for example nam5, which costs twice as much per operation)."
  type        = string
  default     = null

  validation {
    condition     = var.firestore_location == null || can(regex("^[a-z]+[0-9]?(-[a-z]+[0-9]+)?$", coalesce(var.firestore_location, "-")))
    error_message = "The Firestore location must be a region such as us-central1 or a multi-region such as nam5 or eur3."
  }
}

variable "firestore_database" {
  description = "Name of the database when it is not the name above, as after a restore into a new one (docs/disaster-recovery.md)."
  type        = string
  default     = null

  validation {
    condition     = var.firestore_database == null || can(regex("^([a-z][a-z0-9-]{2,61}[a-z0-9]|\\(default\\))$", coalesce(var.firestore_database, "-")))
    error_message = "The database must be (default), or 4 to 63 lower-case letters, digits and hyphens."
  }
}

variable "control_access" {
  description = "Who may reach the control API: \"keys\" (anyone; Mooring's own API keys decide) or \"iam\" (callers with roles/run.invoker)."
  type        = string
  default     = "keys"

  validation {
    condition     = contains(["keys", "iam"], var.control_access)
    error_message = "The control access must be \"keys\" or \"iam\"."
  }
}

variable "control_invokers" {
  description = "Members that may call the control API when control_access is \"iam\", for example group:ops@example.com."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for member in var.control_invokers : can(regex("^(user|group|serviceAccount|domain):.+$", member))])
    error_message = "Each invoker must be an IAM member such as user:…, group:… or serviceAccount:…; allUsers is what control_access = \"keys\" is for."
  }
}

variable "control" {
  description = "Size and count of the control service. A minimum of 0 lets it sleep while nobody calls."
  type = object({
    instances_min = optional(number, 0)
    instances_max = optional(number, 4)
    cpu           = optional(number, 1)
    memory_mib    = optional(number, 512)
  })
  default = {}

  validation {
    condition     = var.control.instances_min >= 0 && var.control.instances_max >= max(1, var.control.instances_min)
    error_message = "The control service needs 0 <= instances_min <= instances_max, and instances_max of at least 1."
  }

  validation {
    condition     = contains([1, 2, 4, 6, 8], var.control.cpu) && var.control.memory_mib >= 512
    error_message = "The control service takes 1, 2, 4, 6 or 8 CPUs and at least 512 MiB, the least that Cloud Run gives to its second generation."
  }
}

variable "runner" {
  description = "Size and count of the runner pool. capacity is how many sessions one runner takes; null leaves it to the program. reconcile = false watches and touches nothing."
  type = object({
    instances           = optional(number, 1)
    cpu                 = optional(number, 1)
    memory_mib          = optional(number, 1024)
    capacity            = optional(number)
    connects_per_second = optional(number)
    reconcile           = optional(bool, true)
  })
  default = {}

  validation {
    condition     = var.runner.instances >= 1 && floor(var.runner.instances) == var.runner.instances
    error_message = "At least one runner must exist, or nobody holds the sockets; take the pool down with terraform destroy instead."
  }

  validation {
    condition     = contains([1, 2, 4, 6, 8], var.runner.cpu) && var.runner.memory_mib >= (var.runner.cpu >= 6 ? 4096 : var.runner.cpu == 4 ? 2048 : 512)
    error_message = "A runner takes 1, 2, 4, 6 or 8 CPUs with at least 512 MiB, 2048 MiB from 4 CPUs and 4096 MiB from 6 CPUs on."
  }

  validation {
    condition     = coalesce(var.runner.capacity, 1) >= 1 && coalesce(var.runner.connects_per_second, 1) > 0
    error_message = "The capacity and the connects per second of a runner must be positive."
  }
}

variable "image_first" {
  description = "Image that the very first apply starts, before the pipeline has pushed one. Later applies leave the image alone."
  type        = string
  default     = "us-docker.pkg.dev/cloudrun/container/hello"

  validation {
    condition     = can(regex("^[a-z0-9.-]+(/[a-z0-9._-]+)+(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})?$", var.image_first))
    error_message = "The first image must be an image reference such as us-docker.pkg.dev/project/repository/image@sha256:…."
  }
}

variable "inbound_recipient" {
  description = "Age recipient of the identity below: what clients and control seal imports for. It is no secret."
  type        = string

  validation {
    condition     = can(regex("^age1[0-9a-z]+$", var.inbound_recipient))
    error_message = "The recipient must be what age-keygen -y prints, age1…."
  }
}

variable "inbound_identity" {
  description = "Age identity that opens imports; only runners get it, and neither the state nor a plan does. Given with the first apply, and with each that raises inbound_version."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = var.inbound_identity == null || can(regex("^AGE-SECRET-KEY-", coalesce(var.inbound_identity, "-")))
    error_message = "The identity must be what age-keygen makes, AGE-SECRET-KEY-1…."
  }
}

variable "inbound_version" {
  description = "Raised together with another inbound_identity."
  type        = number
  default     = 1

  validation {
    condition     = var.inbound_version >= 1 && floor(var.inbound_version) == var.inbound_version
    error_message = "The version must be a whole number from 1 on."
  }
}

variable "export_recipients" {
  description = "Age recipients that exports are sealed for. Without any no session is exported: who may ask for an export must not be who can open it."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for recipient in var.export_recipients : can(regex("^age1[0-9a-z]+$", recipient))])
    error_message = "Each export recipient must be what age-keygen -y prints, age1…."
  }
}

variable "fixed_address" {
  description = "Send everything a runner sends from one reserved address (Direct VPC egress and Cloud NAT). Connections may then take a minute to come up when an instance starts."
  type        = bool
  default     = false
}

variable "snapshots_soft_delete_days" {
  description = "How long the bucket keeps what was deleted, so that it can be restored; 0 switches it off."
  type        = number
  default     = 7

  validation {
    condition     = var.snapshots_soft_delete_days == 0 || (var.snapshots_soft_delete_days >= 7 && var.snapshots_soft_delete_days <= 90)
    error_message = "The soft delete time must be 0 or from 7 to 90 days, which is what Cloud Storage offers."
  }
}

variable "alert_email" {
  description = "Address that alerts are sent to; null creates the alerts without a channel."
  type        = string
  default     = null

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", coalesce(var.alert_email, "-")))
    error_message = "The alert address must be an e-mail address."
  }
}

variable "repository" {
  description = "Cloud Build repository (2nd generation) whose pushes are built; null creates no trigger for them, builds are then submitted by hand."
  type        = string
  default     = null

  validation {
    condition     = var.repository == null || can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", coalesce(var.repository, "-")))
    error_message = "The repository must be projects/P/locations/L/connections/C/repositories/R, as \"gcloud builds repositories list\" prints it."
  }
}

variable "branch" {
  description = "Branch whose pushes are built and deployed."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]+$", var.branch))
    error_message = "The branch must be a plain branch name, not a pattern."
  }
}

variable "deploy_approval" {
  description = "Have a person approve each deploy (roles/cloudbuild.builds.approver) before an image that was pushed is started."
  type        = bool
  default     = false
}

variable "state_bucket" {
  description = "Bucket that holds the Terraform state; the pipeline for Terraform needs it, and is not created without it."
  type        = string
  default     = null

  validation {
    condition     = var.state_bucket == null || can(regex("^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", coalesce(var.state_bucket, "-")))
    error_message = "The state bucket must be a bucket name without gs:// and without a path."
  }
}

variable "log_level" {
  description = "Least severity that the programs log."
  type        = string
  default     = "info"

  validation {
    condition     = contains(["debug", "info", "warn", "error"], var.log_level)
    error_message = "The log level must be debug, info, warn or error."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the service and the pool. The database, the bucket and the key are protected whatever this says."
  type        = bool
  default     = true
}
