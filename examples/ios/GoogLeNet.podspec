# The same sources on MediaPipe Tasks: pod 'GoogLeNet', :path => 'ios' in a Podfile.
Pod::Spec.new do |spec|
  spec.name = 'GoogLeNet'
  spec.version = '1.0.0'
  spec.summary = 'Classifies photographs with a network of googlenet_keras.'
  spec.homepage = 'https://arxiv.org/abs/1409.4842'
  spec.license = 'Apache-2.0'
  spec.author = 'The googlenet_keras developers'
  spec.source = { :path => '.' }
  spec.ios.deployment_target = '16.0'
  spec.swift_version = '5.9'
  spec.source_files = 'Sources/GoogLeNet/*.swift'
  spec.resources = 'Sources/GoogLeNet/Resources'
  spec.static_framework = true
  spec.dependency 'MediaPipeTasksVision', '>= 0.10.21'
end
