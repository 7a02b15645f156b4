# The images that pipeline steps run in. step-images.json says which, by tag; pin-images.sh asks the registries what each
# tag stands for and writes the answer to step-images.auto.tfvars.json, which Terraform reads by itself. A tag can be
# moved by whoever has the registry's account, a digest by nobody, and the deploy's step acts as both programs.
variable "step_images" {
  description = "Image of each pipeline step, by digest. Written by infra/pin-images.sh, not by hand."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name, tag in local._step_image_tags :
      startswith(lookup(var.step_images, name, ""), "${tag}@") && can(regex("@sha256:[0-9a-f]{64}$", lookup(var.step_images, name, "")))
    ])
    error_message = "Each image of infra/step-images.json must be pinned by digest: run infra/pin-images.sh, which writes infra/step-images.auto.tfvars.json, and commit that file."
  }
}

locals {
  _step_image_tags = jsondecode(file("${path.module}/step-images.json"))
}
